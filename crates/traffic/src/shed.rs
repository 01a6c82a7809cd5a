//! What goes first when there is too much.

use model::route::Priority;

use crate::number::{float, whole_u32};

/// Places below `limit` that requests of this priority may find taken and still go.
///
/// Work that can be missed leaves room for what cannot before anything has to wait: half of the limit
/// for what may be dropped at any time, three quarters for what can be missed. The rest may use all of it
/// and waits at the limit, critical requests first. The steps are those of Netflix' prioritized load
/// shedding in spirit ("Keeping Netflix reliable using prioritized load shedding", 2020), which also
/// begins with prefetching and keeps playback to the end.
pub(crate) fn places(limit: u32, priority: Priority) -> u32 {
    let share = match priority {
        Priority::Sheddable => 0.5,
        Priority::Low => 0.75,
        Priority::Normal | Priority::Critical => return limit,
    };
    whole_u32(libm::ceil(float(u64::from(limit)) * share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_be_missed_leaves_room() {
        for (limit, sheddable, low) in [(1, 1, 1), (2, 1, 2), (8, 4, 6), (200, 100, 150)] {
            assert_eq!(places(limit, Priority::Sheddable), sheddable);
            assert_eq!(places(limit, Priority::Low), low);
            assert_eq!(places(limit, Priority::Normal), limit);
            assert_eq!(places(limit, Priority::Critical), limit);
        }
    }
}
