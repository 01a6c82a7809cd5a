//! Whatever people write as a load, it is read or refused, and what was read is written so that it reads the
//! same.
#![no_main]

use behaviour::{Profile, Rate, Segment};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for part in text.split(',') {
        if let Ok(rate) = part.parse::<Rate>() {
            assert_eq!(rate.to_string().parse(), Ok(rate));
        }
        if let Ok(segment) = part.parse::<Segment>() {
            assert_eq!(segment.to_string().parse(), Ok(segment));
        }
    }
    if let Ok(profile) = text.parse::<Profile>() {
        assert!(profile.requests().is_finite());
        assert_eq!(profile.to_string().parse(), Ok(profile));
    }
});
