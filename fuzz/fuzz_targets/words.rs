//! The small texts: each is read or refused, and what was read is written so that it reads the same.
#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use model::release::Digest;
use model::template::split_words;
use model::units::{Bytes, Cpus, DurationText, Share, parse_duration};
use model::{InstanceId, ServiceName, Template, Timestamp};

/// Beyond this amounts are rounded to what a `f64` holds.
const EXACT_MAX: u64 = 1 << 53;

fuzz_target!(|text: &str| {
    reads_again::<Template>(text);
    reads_again::<Share>(text);
    reads_again::<Cpus>(text);
    if let Some(name) = reads_again::<ServiceName>(text) {
        assert_eq!(name.as_str(), text);
    }
    if let Some(instance) = reads_again::<InstanceId>(text) {
        assert_eq!(instance.to_string(), text);
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.as_str(), text);
    }
    if let Ok(bytes) = text.parse::<Bytes>()
        && bytes.0 < EXACT_MAX
    {
        assert_eq!(bytes.to_string().parse(), Ok(bytes));
    }
    if let Ok(duration) = parse_duration(text)
        && duration.as_nanos() < u128::from(EXACT_MAX)
    {
        assert_eq!(parse_duration(&DurationText(duration).to_string()), Ok(duration));
    }
    if let Some(timestamp) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&timestamp.to_string()), Some(timestamp));
    }
    if let Ok(words) = split_words(text) {
        let quoted: Vec<_> =
            words.iter().map(|it| format!("'{}'", it.replace('\'', r"'\''"))).collect();
        assert_eq!(split_words(&quoted.join(" ")), Ok(words));
    }
});

fn reads_again<T: FromStr<Err: Debug + PartialEq> + Display + PartialEq + Debug>(
    text: &str,
) -> Option<T> {
    let read: T = text.parse().ok()?;
    assert_eq!(read.to_string().parse().as_ref(), Ok(&read));
    Some(read)
}
