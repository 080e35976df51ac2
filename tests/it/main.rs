//! The only integration-test binary: the server over real sockets.

#![allow(clippy::unwrap_used, clippy::pedantic)] // in a test a panic is the report, and small casts are safe

mod arrows;
mod cuts;
mod documents;
mod doubles;
mod faults;
mod harness;
mod hostile;
mod jobs;
mod measured;
mod media;
mod model;
mod process;
mod properties;
mod protocol;
mod regressions;
mod second_store;
mod slowness;
mod stores;
