//! A server in this process and clients that reach it over real sockets.
//!
//! Each test has a server, a data directory and a clock of its own, so tests run side by side. Time is moved
//! with the clock; nothing sleeps for a guess.

mod client;
mod form;
mod log;
mod raw;
mod reply;
mod samples;
mod server;

pub(crate) use client::{Client, UPLOAD};
pub(crate) use form::Form;
pub(crate) use raw::Raw;
pub(crate) use reply::{Refused, Reply};
pub(crate) use samples::*;
pub(crate) use server::{SECRET, Server};

use std::time::{Duration, Instant};

/// So long a test waits for what must come at once; only a failing one ever waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Seconds of a day.
pub(crate) const DAY: u64 = 24 * 3600;

/// A uuid as a client makes one.
pub(crate) fn new_uuid() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Waits until something that another task brings about is so.
pub(crate) async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
