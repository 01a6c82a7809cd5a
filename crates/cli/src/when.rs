//! Points in time as people write them.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use model::Timestamp;
use model::units::{DurationText, parse_duration};

use crate::error::CommandError;

/// A time that is over: `5m` (ago), `14:32` (today), `2026-11-22 14:32` (here), or RFC 3339.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Timestamp, CommandError> {
    not_future(text, parse_in(text, now, &TimeZone::system())?, now)
}

fn not_future(text: &str, time: Timestamp, now: Timestamp) -> Result<Timestamp, CommandError> {
    if now < time {
        return Err(CommandError::wrong(format!(
            "`{text}` is in the future ({time}, and now is {now}); with a date, as in \
             `2026-11-22 14:32`, it may be another day"
        )));
    }
    Ok(time)
}

fn parse_in(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, CommandError> {
    if let Some(timestamp) = Timestamp::parse(text) {
        return Ok(timestamp);
    }
    if let Ok(ago) = parse_duration(text) {
        return Ok(Timestamp::from_millis(
            now.as_millis().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
        ));
    }
    let wrong = || {
        CommandError::wrong(format!(
            "`{text}` is no time; write for example `5m` (ago), `14:32`, `2026-11-22 14:32` or \
             `2026-11-22T14:32:00Z`"
        ))
    };
    let local = match (text.parse::<DateTime>(), text.parse::<Time>()) {
        (Ok(date_time), _) => date_time,
        (_, Ok(time)) => {
            let millis = now.as_signed_millis();
            let now = jiff::Timestamp::from_millisecond(millis).map_err(|_| wrong())?;
            now.to_zoned(zone.clone()).date().to_datetime(time)
        }
        _ => return Err(wrong()),
    };
    let zoned = local.to_zoned(zone.clone()).map_err(|_| wrong())?;
    u64::try_from(zoned.timestamp().as_millisecond())
        .map(Timestamp::from_millis)
        .map_err(|_| wrong())
}

/// How long ago that was, in its one or two largest units: `3m20s`.
pub(crate) fn ago(at: &str, now: Timestamp) -> String {
    let Some(at) = Timestamp::parse(at) else { return String::new() };
    let text = DurationText(std::time::Duration::from_secs(now.since(at).as_secs())).to_string();
    let ends: Vec<usize> = text.match_indices(['h', 'm', 's']).map(|(end, _)| end + 1).collect();
    let end = ends.get(1).or(ends.first()).copied().unwrap_or(text.len());
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let now = Timestamp::parse("2026-11-22T22:30:00Z").unwrap();
        let found = parse_in(text, now, &zone).ok().map(|it| it.to_string());
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn times_as_people_write_them() {
        check("2026-11-22T14:32:00Z", Some("2026-11-22T14:32:00.000Z"));
        check("5m", Some("2026-11-22T22:25:00.000Z"));
        // It is already the 23rd there.
        check("00:15", Some("2026-11-22T22:15:00.000Z"));
        check("14:32:10", Some("2026-11-23T12:32:10.000Z"));
        check("2026-11-20 14:32", Some("2026-11-20T12:32:00.000Z"));
        check("2026-11-20T14:32", Some("2026-11-20T12:32:00.000Z"));
        check("yesterday", None);
        check("", None);
    }

    #[test]
    fn the_future_is_not_known() {
        let now = Timestamp::parse("2026-11-22T22:30:00Z").unwrap();
        assert!(parse("5m", now).is_ok() && parse("0s", now).is_ok());
        insta::assert_snapshot!(parse("2027-01-01T00:00:00Z", now).unwrap_err(), @"`2027-01-01T00:00:00Z` is in the future (2027-01-01T00:00:00.000Z, and now is 2026-11-22T22:30:00.000Z); with a date, as in `2026-11-22 14:32`, it may be another day");
        insta::assert_snapshot!(parse("soon", now).unwrap_err(), @"`soon` is no time; write for example `5m` (ago), `14:32`, `2026-11-22 14:32` or `2026-11-22T14:32:00Z`");
    }

    #[test]
    fn ages() {
        let now = Timestamp::parse("2026-11-22T22:30:00Z").unwrap();
        assert_eq!(ago("2026-11-22T22:29:57Z", now), "3s");
        assert_eq!(ago("2026-11-22T22:26:40Z", now), "3m20s");
        assert_eq!(ago("2026-11-22T20:26:40Z", now), "2h3m");
        assert_eq!(ago("2026-11-23T20:26:40Z", now), "0s");
    }
}
