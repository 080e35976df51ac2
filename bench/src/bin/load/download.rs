//! Fetches a file repeatedly over kept-alive connections, whole or range by range. Doesn't know the server, and ignores
//! the content.

use std::io::{self, Error};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::client::Connection;
use crate::steps::pause;
use crate::timings::{Summary, Timings};

#[derive(Deserialize)]
pub(crate) struct Job {
    address: SocketAddr,
    /// Path and query of the file.
    link: String,
    /// Size of the file in bytes.
    size: u64,
    /// Size of a range in bytes; `None` means the whole file.
    range: Option<u64>,
    clients: usize,
    /// Duration of the measurement; the warm-up takes as long.
    seconds: f64,
}

#[derive(Serialize)]
pub(crate) struct Outcome {
    bytes: u64,
    seconds: f64,
    reply_ms: Option<Summary>,
}

pub(crate) fn run(job: &Job) -> io::Result<Outcome> {
    phase(job, 0)?;
    pause("ready")?;
    let begun = Instant::now();
    let (bytes, timings) = phase(job, 1)?;
    Ok(Outcome { bytes, seconds: begun.elapsed().as_secs_f64(), reply_ms: timings.summary() })
}

fn phase(job: &Job, seed: u64) -> io::Result<(u64, Timings)> {
    let deadline = Instant::now() + Duration::from_secs_f64(job.seconds);
    let results = thread::scope(|scope| {
        let threads: Vec<_> = (0..job.clients as u64)
            .map(|number| scope.spawn(move || client(job, deadline, seed * 1000 + number)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| Error::other("a client panicked"))?)
            .collect::<io::Result<Vec<_>>>()
    })?;
    let mut all = (0, Timings::default());
    for (bytes, timings) in results {
        all.0 += bytes;
        all.1.extend(timings);
    }
    Ok(all)
}

fn client(job: &Job, deadline: Instant, seed: u64) -> io::Result<(u64, Timings)> {
    let mut connection = Connection::open(job.address)?;
    let (mut total, mut timings) = (0, Timings::default());
    let mut state = seed + 1;
    while Instant::now() < deadline {
        let (header, expected) = match job.range {
            None => (String::new(), (200, job.size)),
            Some(length) => {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); // Knuth, MMIX
                let first = (state >> 16) % (job.size - length);
                (format!("Range: bytes={first}-{}\r\n", first + length - 1), (206, length))
            }
        };
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n{header}\r\n", job.link, job.address);
        let begun = Instant::now();
        connection.send(&[request.as_bytes()])?;
        let reply = connection.discard_reply()?;
        timings.push(begun.elapsed());
        if reply != expected {
            return Err(Error::other(format!(
                "status and length {reply:?} instead of {expected:?}"
            )));
        }
        total += reply.1;
    }
    Ok((total, timings))
}
