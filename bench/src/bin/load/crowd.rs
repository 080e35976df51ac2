//! Very many concurrent uploads, each held in the middle of a chunk while the harness examines the server. Doesn't know
//! what is examined.

use std::io;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::client::Connection;
use crate::dialect::{Speaker, Upload};
use crate::steps::pause;
use crate::target::{Target, payload};
use crate::timings::{Summary, Timings};

#[derive(Deserialize)]
pub(crate) struct Job {
    target: Target,
    uploads: usize,
    /// In bytes.
    chunk: usize,
    /// Number of chunks per upload.
    chunks: u64,
}

#[derive(Serialize)]
pub(crate) struct Outcome {
    /// Number of uploads that completed.
    completed: usize,
    /// From the second half of a chunk to its reply, including the wait behind all the others.
    reply_ms: Option<Summary>,
}

struct Member {
    speaker: Speaker,
    connection: Connection,
    upload: Upload,
}

pub(crate) fn run(job: &Job) -> io::Result<Outcome> {
    let payload = payload(job.chunk);
    let mut crowd =
        (0..job.uploads).map(|number| join(job, number)).collect::<io::Result<Vec<_>>>()?;
    let mut timings = Timings::default();
    for index in 0..job.chunks {
        round(&mut crowd, index, &payload, &mut timings)?;
    }
    let mut completed = 0;
    for member in &mut crowd {
        if let Some(request) = member.speaker.done(&member.upload) {
            member.connection.request(&[request.as_bytes()])?.accepted()?;
        }
        completed += 1;
    }
    Ok(Outcome { completed, reply_ms: timings.summary() })
}

fn join(job: &Job, number: usize) -> io::Result<Member> {
    let speaker = job.target.speaker(number);
    let mut connection = Connection::open(job.target.address)?;
    let chunk = job.chunk as u64;
    let upload =
        speaker.begin(&mut connection, format!("member{number}"), chunk * job.chunks, chunk)?;
    Ok(Member { speaker, connection, upload })
}

/// One chunk of every upload: half of it, a pause, the rest, the replies.
fn round(
    crowd: &mut [Member],
    index: u64,
    payload: &[u8],
    timings: &mut Timings,
) -> io::Result<()> {
    let (half, rest) = payload.split_at(payload.len() / 2);
    let mut ends = Vec::with_capacity(crowd.len());
    for member in &mut *crowd {
        let (before, after) = member.speaker.around(&member.upload, index);
        member.connection.send(&[before.as_bytes(), half])?;
        ends.push(after);
    }
    pause("held")?;
    for (member, after) in crowd.iter_mut().zip(&ends) {
        member.connection.send(&[rest, after.as_bytes()])?;
    }
    let begun = Instant::now();
    for member in crowd {
        let reply = member.connection.reply()?.accepted()?;
        timings.push(begun.elapsed());
        member.speaker.learn(&mut member.upload, &reply.body)?;
    }
    Ok(())
}
