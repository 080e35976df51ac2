//! A server in this process, and clients that reach it over real sockets.
//!
//! Each test has its own server, data directory and clock, so tests run in parallel. Tests move time with the clock and
//! never sleep for a guessed time.

mod client;
mod form;
mod log;
mod raw;
mod reply;
mod samples;
mod server;
mod tus;

pub(crate) use client::{Client, UPLOAD};
pub(crate) use form::Form;
pub(crate) use raw::Raw;
pub(crate) use reply::{Refused, Reply};
pub(crate) use samples::*;
pub(crate) use server::{SECRET, Server};
pub(crate) use tus::{OFFSET_OCTET_STREAM, TUS, noise, uuid_in};

use std::time::{Duration, Instant};

/// Maximum time that a test waits for something that must happen at once. Only a failing test waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Seconds per day.
pub(crate) const DAY: u64 = 24 * 3600;

/// A uuid as a client makes one.
pub(crate) fn new_uuid() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Waits until a condition holds that another task brings about.
pub(crate) async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
