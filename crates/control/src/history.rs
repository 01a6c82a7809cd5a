//! The past.

use std::sync::Arc;

use api::request::{At, EventQuery};
use api::{ApiError, ErrorKind};
use model::Index;
use world::{Event, Recorded, World};

use crate::storage::{Storage, StorageError};

/// Events answered at once, at most.
const EVENTS_MAX: usize = 10_000;
/// Events read at once while looking for those that match.
const CHUNK: usize = 1_000;

fn internal(error: &StorageError) -> ApiError {
    ApiError::new(ErrorKind::Internal, model::chain(error))
}

/// The world at a point in the past.
pub(crate) fn world_at(
    storage: &Storage,
    now: &Arc<World>,
    at: At,
) -> Result<Arc<World>, ApiError> {
    let bounds = storage.journal.bounds();
    let index = match at {
        At::Index(index) => index,
        At::Time(time) if now.at <= time => now.index,
        At::Time(time) => storage
            .journal
            .index_at(time, &now.set_back())
            .map_err(|error| internal(&StorageError::from(error)))?
            .unwrap_or(Index::ZERO),
    };
    if now.index <= index {
        if now.index < index {
            let message = format!("@{index} is in the future; the last event is @{}", now.index);
            return Err(ApiError::new(ErrorKind::NotFound, message));
        }
        return Ok(Arc::clone(now));
    }
    if index.next() < bounds.first {
        let first = bounds.first;
        let message =
            format!("the journal begins at @{first}; what came before was let go as too old");
        return Err(ApiError::new(ErrorKind::Gone, message));
    }
    storage.world_at(Some(index)).map(Arc::new).map_err(|error| internal(&error))
}

/// What happened.
pub(crate) fn events(
    storage: &Storage,
    last: Index,
    query: &EventQuery,
) -> Result<Vec<Recorded>, ApiError> {
    let limit = query.limit.min(EVENTS_MAX);
    if query.latest {
        return latest(storage, last, query, limit);
    }
    let mut found = Vec::new();
    let mut after = query.after;
    while found.len() < limit {
        let chunk = read(storage, after)?;
        let Some(end) = chunk.last().map(|it| it.index) else { break };
        after = end;
        found.extend(chunk.into_iter().filter(|it| it.index <= last && matches(query, it)));
    }
    found.truncate(limit);
    Ok(found)
}

/// The newest events that match, from the end of the journal backwards.
fn latest(
    storage: &Storage,
    last: Index,
    query: &EventQuery,
    limit: usize,
) -> Result<Vec<Recorded>, ApiError> {
    let mut found: Vec<Recorded> = Vec::new();
    let mut end = last.0;
    while found.len() < limit && query.after.0 < end {
        let start = end.saturating_sub(CHUNK as u64).max(query.after.0);
        let chunk = read_to(storage, Index(start), end)?;
        let matching = chunk.into_iter().filter(|it| it.index.0 <= end && matches(query, it));
        found.splice(0..0, matching);
        end = start;
    }
    let surplus = found.len().saturating_sub(limit);
    Ok(found.split_off(surplus))
}

/// Events after an index. Where some were lost with a damaged part of the journal, one that is not in it says so in
/// their place, and what is behind them follows.
fn read(storage: &Storage, after: Index) -> Result<Vec<Recorded>, ApiError> {
    let events = storage.history(after, None, CHUNK).map_err(|error| internal(&error))?;
    // What was let go as too old is no hole.
    let mut reached = after.max(Index(storage.journal.bounds().first.0.saturating_sub(1)));
    let mut all = Vec::with_capacity(events.len());
    for recorded in events {
        if reached.next() < recorded.index {
            all.push(hole(reached.next(), &recorded));
        }
        reached = recorded.index;
        all.push(recorded);
    }
    Ok(all)
}

/// What stands in the place of lost events, from the first of them to the one before `behind`, the next that is there.
fn hole(first: Index, behind: &Recorded) -> Recorded {
    let last = Index(behind.index.0.saturating_sub(1));
    let report = if first == last {
        format!("event {first} was lost")
    } else {
        format!("events {first} to {last} were lost")
    };
    Recorded { index: last, at: behind.at, event: Event::JournalRepaired { report } }
}

/// The same up to an index, over any number of holes.
fn read_to(storage: &Storage, after: Index, last: u64) -> Result<Vec<Recorded>, ApiError> {
    let (mut all, mut after) = (Vec::new(), after);
    while after.0 < last {
        let chunk = read(storage, after)?;
        let Some(end) = chunk.last().map(|it| it.index) else { break };
        all.extend(chunk);
        after = end;
    }
    Ok(all)
}

fn matches(query: &EventQuery, recorded: &Recorded) -> bool {
    let application = query.application.as_ref();
    let service = query.service.as_ref();
    // What was lost may have been about anything.
    let is_hole = matches!(&recorded.event, Event::JournalRepaired { .. });
    is_hole
        || application.is_none_or(|it| recorded.event.application() == Some(it))
            && service.is_none_or(|it| recorded.event.service() == Some(it))
            && (query.counts || !matches!(recorded.event, Event::RolloutObserved { .. }))
}
