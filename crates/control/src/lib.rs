//! The reconciler: journal in, `planner` decides, runtime out.
//!
//! One task, the reconciler, owns the world. It takes in wishes (from the faces) and facts (from the
//! tasks that watch instances), turns them into events, makes these durable, folds them in, asks the
//! planner what follows, records what it decided, and only then brings it about. Whatever is
//! acknowledged is on disk; whatever was brought about can be found out again. That is why it may be
//! killed at any moment: the next one folds the journal, looks at the machine, and goes on.
//!
//! It refuses to decide (that is `planner`), and to listen on a socket (that is `server`).

mod alert;
mod apply;
mod calendar;
mod checkup;
mod command;
pub mod dataplane;
mod doctor;
mod draft;
mod handle;
mod history;
mod inbox;
mod launch;
mod logs;
mod lookout;
mod open;
mod outcome;
mod outlook;
mod parts;
mod reconciler;
mod recording;
mod rollout_view;
mod room;
mod storage;
mod strays;
mod sweep;
mod telemetry;
mod ticks;
mod traffic_view;
mod watch;
mod webhook;

pub use handle::Control;
pub use journal::{FolderLock, LockError};
pub use open::{Access, OpenError, Opened, Options, open};
