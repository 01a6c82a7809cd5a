//! Draws what a simulation answered: a page that needs nothing else, and the formats other tools read.
//!
//! Everything here is a pure function from an answer (`api::simulation`) or an application to text. It refuses to compute
//! answers: what a figure is, and how sure it is, was decided where it was simulated.

/// Adds formatted text to a string, which cannot fail.
macro_rules! add {
    ($to:expr, $($text:tt)*) => {{
        use std::fmt::Write as _;
        _ = write!($to, $($text)*);
    }};
}

pub mod export;

mod draw;
mod figure;
mod html;
mod page;

pub use page::{Subject, page};
