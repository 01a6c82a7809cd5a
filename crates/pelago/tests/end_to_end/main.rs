//! The whole platform as its users meet it: the real binary, real processes, a folder of its own.
//!
//! Every test starts its own control process in a short temporary folder and takes everything it
//! started away again, also when it fails. Nothing here sleeps: tests wait for an answer, an event or
//! the end of a process, each with a deadline that is generous enough for a loaded machine.
#![cfg(test)]

mod adoption;
mod api;
mod changes;
mod chaos;
mod charge;
mod clients;
mod clock;
mod data;
mod data_plane;
mod disk;
mod examples;
mod failures;
mod gateway;
mod harness;
mod health;
mod hostile;
mod imports;
mod killed;
mod lifecycle;
mod limits;
mod logs;
mod meant;
mod open_files;
mod outliving;
mod past;
mod ports;
mod private;
mod releases;
mod rollouts;
mod simulation;
mod stopping;
mod telemetry;
mod telemetry_clients;
mod telemetry_kept;
mod watching;
