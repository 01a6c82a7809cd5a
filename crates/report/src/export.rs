//! The same in the formats of other tools: spans for tracing tools, exposition text for Prometheus, graphs for drawing tools.
//!
//! Virtual time becomes real time by an epoch that the caller chooses. Ids follow from the seed, so the same run
//! exported twice is the same text.

mod architecture;
mod diagram;
mod graph;
mod graphml;
mod otlp;
mod prometheus;
mod spans;
mod zipkin;

pub use architecture::Architecture;
pub use diagram::{dot, mermaid};
pub use graph::graph;
pub use graphml::graphml;
pub use otlp::otlp;
pub use prometheus::prometheus;
pub use zipkin::zipkin;
