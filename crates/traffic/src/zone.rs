//! Near instances first, as far as they suffice.
//!
//! Callers are taken to be spread evenly over the zones, as instances should be. A zone that has its
//! fair share of the capacity keeps all its requests; one that has less, because it was given less or
//! because instances are ejected, keeps as many as it can bear and spreads the rest. Source: Envoy's
//! zone-aware routing, without its knowledge of how many callers each zone has.

/// The share of requests that stay in the caller's zone, where `local` of `available` instances are, of
/// `zones` zones in all.
pub(crate) fn local_share(local: usize, available: usize, zones: usize) -> f64 {
    let product = local.saturating_mul(zones.max(1));
    if available <= product {
        if local == 0 { 0.0 } else { 1.0 }
    } else {
        crate::number::float(product as u64) / crate::number::float(available as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_stay_as_the_zone_can_bear() {
        for (local, available, zones, expected) in [
            (0, 0, 0, 0.0),
            (0, 4, 2, 0.0),
            (2, 2, 1, 1.0),
            (2, 4, 2, 1.0),
            (3, 4, 2, 1.0),
            // One of two local ones ejected: two of three requests stay.
            (1, 3, 2, 2.0 / 3.0),
            (1, 10, 3, 0.3),
        ] {
            let share = local_share(local, available, zones);
            assert!((share - expected).abs() < 1e-12, "{local} of {available}: {share}");
        }
    }
}
