//! Starts the server on the disk that a power cut left, and compares it with the ledgers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::promises::{Broken, Level, Upload};
use super::rig::{data_dir, serving};
use crate::process::http::Request;
use crate::process::program::Server;

/// Logged when bytes of an unfinished upload were lost in a power cut and must be sent again.
const EXPECTED: [&str; 1] = ["an upload's bytes could not be made durable; it starts over"];

/// What the server on this disk has lost of what the ledgers contained at that moment.
pub(crate) fn check(disk: &Path, uploads: &[Upload], by: u64, level: Level) -> Broken {
    let mut broken = Broken::default();
    // A server that doesn't start, or replies with nonsense, has lost everything.
    let checked = catch_unwind(AssertUnwindSafe(|| ask(disk, uploads, by, level, &mut broken)));
    if let Err(panic) = checked {
        let text = panic.downcast_ref::<String>().cloned();
        broken.lost.push(text.unwrap_or_else(|| "the checker panicked".into()));
    }
    broken
}

fn ask(disk: &Path, uploads: &[Upload], by: u64, level: Level, broken: &mut Broken) {
    let server = Server::start(&mut serving(&data_dir(disk)));
    let ready = Request::new("GET", "/health/ready").send(&server.host).expect("a reply");
    if ready.status != 200 {
        broken.lost.push(format!("not ready: {}", ready.status));
    }
    for upload in uploads {
        upload.check(&server.host, by, level, broken);
    }
    let log = server.kill();
    let wrong = |line: &&str| {
        line.contains("panicked")
            || line.contains("ERROR") && !EXPECTED.iter().any(|expected| line.contains(expected))
    };
    broken.lost.extend(log.lines().filter(wrong).map(|line| format!("logged: {line}")));
}
