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
    let since = query.since.unwrap_or(Timestamp::EPOCH);
    let mut found: Vec<Found> = Vec::new();
    let broken = |error: std::io::Error| ApiError::new(ErrorKind::Internal, error.to_string());
    for id in targets(world, query)? {
        let folder = processes.folder(&query.application, &id);
        let page = match (query.tail, places.get(&id)) {
            (Some(count), None) => log::tail(folder.path(), count.min(limit)),
            (_, place) => {
                log::read_since(folder.path(), place.copied().unwrap_or_default(), since, limit)
            }
        };
        let page = page.map_err(broken)?;
        places.insert(id.clone(), if page.lines.is_empty() { page.next } else { page.from });
        let mut latest = Timestamp::EPOCH;
        for (line, end) in page.lines.into_iter().zip(page.ends) {
            // A clock that was put back does not change the order in which an instance spoke.
            latest = latest.max(line.at);
            found.push(Found { order: latest, id: id.clone(), line, end });
        }
    }
    // Stable: lines of one instance stay in their order.
    found.sort_by_key(|it| it.order);
    found.truncate(limit);
    // What did not find room comes with the next page.
    for it in &found {
        places.insert(it.id.clone(), it.end);
    }
    let lines = found.into_iter().filter(|it| since <= it.line.at).map(|it| LogLine {
        at: it.line.at.to_string(),
        instance: it.id.to_string(),
        stream: it.line.stream.as_str().to_owned(),
        text: it.line.text,
    });
    Ok(LogPage { lines: lines.collect(), next: print(&places) })
}

/// A line, whose it is, and where the next one begins.
struct Found {
    order: Timestamp,
    id: InstanceId,
    line: Line,
    end: Cursor,
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
