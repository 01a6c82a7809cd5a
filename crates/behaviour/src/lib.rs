//! What a synthetic service does with one request, and what a synthetic user sends.
//!
//! Two drivers share this crate: the emulator executes it on real sockets, the simulator in virtual
//! time. So nothing here waits, sends, knows what time it is or draws entropy: an [`Execution`] is
//! told what ended and says what comes next, an [`Admission`] is told who arrived and says who may
//! go on, [`Arrivals`] are intended moments, and every draw comes from a `&mut Rng`. With the same
//! seed both drivers see the same requests, the same work times and the same calls.
#![no_std]

extern crate alloc;

pub mod admission;
pub mod arrivals;
pub mod execution;
pub mod mix;
pub mod plan;
pub mod sharing;
pub mod work_time;

pub use admission::{Admission, Arrival, Started};
pub use arrivals::{Arrivals, Spacing};
pub use execution::{CallEnd, Execution, Next, Outcome};
pub use mix::Mix;
pub use model::profile::{self, Profile, ProfileError, Rate, Segment};
pub use plan::{BackgroundWork, Behaviour, BehaviourError, Plan, PlannedCall, Role};
pub use sharing::Sharing;
pub use work_time::Sampler;
