//! Sends files chunk by chunk. Each client sends one file after the other and one request at a time, as real clients
//! do. Doesn't know what requests look like.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::client::Connection;
use crate::dialect::Speaker;
use crate::steps::pause;
use crate::target::{Target, payload};
use crate::timings::{Summary, Timings};

/// Sizes in bytes.
#[derive(Deserialize)]
pub(crate) struct Job {
    target: Target,
    /// Number of concurrent clients.
    clients: usize,
    chunk: usize,
    file: u64,
    /// Bytes to send before the measurement.
    warmup: u64,
    /// Bytes to send during the measurement.
    bytes: u64,
    /// After this time no new file is begun.
    seconds: f64,
    /// The server's process, if its reads and writes during done are to be measured.
    watched: Option<u32>,
}

#[derive(Serialize)]
pub(crate) struct Outcome {
    bytes: u64,
    files: u64,
    seconds: f64,
    chunk_ms: Option<Summary>,
    done_ms: Option<Summary>,
    /// Maximum number of bytes that the watched process read during one done.
    done_read: Option<u64>,
    /// Maximum number of bytes that it wrote during one done.
    done_written: Option<u64>,
}

pub(crate) fn run(job: &Job) -> io::Result<Outcome> {
    let payload = payload(job.chunk);
    let mut clients = (0..job.clients)
        .map(|number| Client::new(job, number, &payload))
        .collect::<io::Result<Vec<_>>>()?;
    // Every client sends at least one file, so that nothing happens for the first time later.
    let files = job.warmup.div_ceil(job.file).max(job.clients as u64);
    let deadline = Instant::now() + Duration::from_secs_f64(job.seconds);
    phase(&mut clients, &Budget { files: AtomicU64::new(files), deadline })?;

    pause("ready")?;
    let begun = Instant::now();
    let files = job.bytes.div_ceil(job.file);
    let deadline = begun + Duration::from_secs_f64(job.seconds);
    let done = phase(&mut clients, &Budget { files: AtomicU64::new(files), deadline })?;
    Ok(Outcome {
        bytes: done.files * job.file,
        files: done.files,
        seconds: begun.elapsed().as_secs_f64(),
        chunk_ms: done.chunks.summary(),
        done_ms: done.dones.summary(),
        done_read: done.read,
        done_written: done.written,
    })
}

/// The number of files that all clients together may still begin.
struct Budget {
    files: AtomicU64,
    deadline: Instant,
}

impl Budget {
    fn take(&self) -> bool {
        let take = |left: u64| left.checked_sub(1);
        Instant::now() < self.deadline
            && self.files.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[derive(Default)]
struct Done {
    files: u64,
    chunks: Timings,
    dones: Timings,
    read: Option<u64>,
    written: Option<u64>,
}

fn phase(clients: &mut [Client], budget: &Budget) -> io::Result<Done> {
    let parts = thread::scope(|scope| {
        let threads: Vec<_> =
            clients.iter_mut().map(|client| scope.spawn(|| client.work(budget))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| io::Error::other("a client panicked"))?)
            .collect::<io::Result<Vec<Done>>>()
    })?;
    let mut all = Done::default();
    for part in parts {
        all.files += part.files;
        all.chunks.extend(part.chunks);
        all.dones.extend(part.dones);
        all.read = all.read.max(part.read);
        all.written = all.written.max(part.written);
    }
    Ok(all)
}

struct Client<'a> {
    job: &'a Job,
    number: usize,
    speaker: Speaker,
    connection: Connection,
    payload: &'a [u8],
    /// Number of files begun so far.
    begun: u64,
}

impl<'a> Client<'a> {
    fn new(job: &'a Job, number: usize, payload: &'a [u8]) -> io::Result<Self> {
        let speaker = job.target.speaker(number);
        let connection = Connection::open(job.target.address)?;
        Ok(Self { job, number, speaker, connection, payload, begun: 0 })
    }

    fn work(&mut self, budget: &Budget) -> io::Result<Done> {
        let mut done = Done::default();
        while budget.take() {
            self.file(&mut done)?;
            done.files += 1;
        }
        Ok(done)
    }

    fn file(&mut self, done: &mut Done) -> io::Result<()> {
        self.begun += 1;
        let name = format!("client{}-file{}", self.number, self.begun);
        let (size, chunk) = (self.job.file, self.job.chunk as u64);
        let mut upload = self.speaker.begin(&mut self.connection, name, size, chunk)?;
        for index in 0..upload.parts() {
            let length = usize::try_from(upload.range(index).1).unwrap_or(usize::MAX);
            let begun = Instant::now();
            let (before, after) = self.speaker.around(&upload, index);
            let slices = [before.as_bytes(), &self.payload[..length], after.as_bytes()];
            let reply = self.connection.request(&slices)?.accepted()?;
            done.chunks.push(begun.elapsed());
            self.speaker.learn(&mut upload, &reply.body)?;
        }
        let Some(request) = self.speaker.done(&upload) else {
            return Ok(());
        };
        let before = self.job.watched.map(traffic).transpose()?;
        let begun = Instant::now();
        self.connection.request(&[request.as_bytes()])?.accepted()?;
        done.dones.push(begun.elapsed());
        if let (Some(before), Some(process)) = (before, self.job.watched) {
            let after = traffic(process)?;
            done.read = done.read.max(Some(after.0 - before.0));
            done.written = done.written.max(Some(after.1 - before.1));
        }
        Ok(())
    }
}

/// Number of bytes that a process has passed to read and write calls so far (proc(5), `/proc/PID/io`).
fn traffic(process: u32) -> io::Result<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{process}/io"))?;
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
            .unwrap_or_default()
    };
    Ok((value("rchar:"), value("wchar:")))
}
