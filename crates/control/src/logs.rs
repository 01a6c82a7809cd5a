//! What instances said, several of them in one stream.

use std::collections::BTreeMap;

use api::logs::{LOG_LINES_MAX, LogLine, LogPage, LogQuery};
use api::{ApiError, ErrorKind};
use model::{InstanceId, Timestamp};
use runtime::Processes;
use runtime::log::{self, Cursor, Line};
use world::World;

/// Where each instance's log was read up to: `cart.7:1:2048`, with commas between.
type Places = BTreeMap<InstanceId, Cursor>;

/// The next lines, in the order they were written.
pub(crate) fn page(
    processes: &Processes,
    world: &World,
    query: &LogQuery,
) -> Result<LogPage, ApiError> {
    let mut places = query.cursor.as_deref().map(parse).transpose()?.unwrap_or_default();
    let limit = query.limit.clamp(1, LOG_LINES_MAX);
    let instances = targets(world, query)?;
    let mut lines: Vec<(Timestamp, InstanceId, Line, Cursor)> = Vec::new();
    let broken = |error: std::io::Error| ApiError::new(ErrorKind::Internal, error.to_string());
    for id in instances {
        let folder = processes.folder(&query.application, &id);
        let folder = folder.path();
        if let (Some(count), None) = (query.tail, places.get(&id)) {
            let end = log::end(folder).map_err(broken)?;
            let tail = log::tail(folder, count.min(limit)).map_err(broken)?;
            lines.extend(tail.into_iter().map(|it| (it.at, id.clone(), it, end)));
            places.insert(id, end);
            continue;
        }
        let mut place = places.get(&id).copied().unwrap_or_default();
        let mut wanted = limit;
        while 0 < wanted {
            // One by one, so that a page that is cut short knows where each line ended.
            let page = log::read(folder, place, 1).map_err(broken)?;
            place = page.next;
            let Some(line) = page.lines.into_iter().next() else { break };
            lines.push((line.at, id.clone(), line, place));
            wanted -= 1;
        }
        places.entry(id).or_insert(Cursor::default());
    }
    // Stable: lines of one instance stay in their order.
    lines.sort_by_key(|(at, ..)| *at);
    lines.truncate(limit);
    for (_, id, _, place) in &lines {
        places.insert(id.clone(), *place);
    }
    let since = query.since.unwrap_or(Timestamp::EPOCH);
    let lines = lines.into_iter().filter(|(at, ..)| since <= *at);
    let lines = lines.map(|(at, id, line, _)| LogLine {
        at: at.to_string(),
        instance: id.to_string(),
        stream: line.stream.as_str().to_owned(),
        text: line.text,
    });
    Ok(LogPage { lines: lines.collect(), next: print(&places) })
}

/// The instances meant: those that live, and the last that ended.
fn targets(world: &World, query: &LogQuery) -> Result<Vec<InstanceId>, ApiError> {
    let state = world
        .application(&query.application)
        .ok_or_else(|| ApiError::no_application(query.application.as_str()))?;
    let mut found = Vec::new();
    for (name, service) in &state.services {
        let ended = service.ended.iter().map(|it| it.number);
        let mut numbers: Vec<u32> = service.instances.keys().copied().chain(ended).collect();
        numbers.sort_unstable();
        found
            .extend(numbers.into_iter().map(|number| InstanceId { service: name.clone(), number }));
    }
    if query.targets.is_empty() {
        return Ok(found);
    }
    let is_meant =
        |target: &str, id: &InstanceId| target == id.service.as_str() || target == id.to_string();
    for target in &query.targets {
        let is_service = state.services.keys().any(|it| it.as_str() == target);
        if !is_service && !found.iter().any(|it| is_meant(target, it)) {
            return Err(ApiError::no_service(query.application.as_str(), target));
        }
    }
    found.retain(|id| query.targets.iter().any(|it| is_meant(it, id)));
    Ok(found)
}

fn print(places: &Places) -> String {
    let place = |(id, it): (&InstanceId, &Cursor)| format!("{id}:{}:{}", it.file, it.offset);
    places.iter().map(place).collect::<Vec<_>>().join(",")
}

fn parse(text: &str) -> Result<Places, ApiError> {
    let wrong = || {
        ApiError::new(
            ErrorKind::Invalid,
            "the cursor is not one this API gave; leave it out to begin anew",
        )
    };
    let place = |text: &str| {
        let mut fields = text.split(':');
        let id = fields.next()?.parse().ok()?;
        let file = fields.next()?.parse().ok()?;
        let offset = fields.next()?.parse().ok()?;
        Some((id, Cursor { file, offset }))
    };
    let fields = text.split(',').filter(|it| !it.is_empty());
    fields.map(|it| place(it).ok_or_else(wrong)).collect()
}
