//! The load generator of `bench/run`: reads one job (a line of JSON on standard input), carries it out and prints the
//! result (JSON). Between the steps of a job it prints a word and waits for a line, so that the harness can examine the
//! server meanwhile. Doesn't know which server it loads, and measures only time.

mod client;
mod crowd;
mod dialect;
mod download;
mod steps;
mod target;
mod timings;
mod uploads;

use std::io;

use serde::{Deserialize, Serialize};

use steps::pause;

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Job {
    Uploads(uploads::Job),
    Crowd(crowd::Job),
    Download(download::Job),
}

fn main() -> io::Result<()> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    match serde_json::from_str(&line)? {
        Job::Uploads(job) => report(&uploads::run(&job)?),
        Job::Crowd(job) => report(&crowd::run(&job)?),
        Job::Download(job) => report(&download::run(&job)?),
    }
}

/// Stays until told to exit, so that its own processor time can be read.
fn report(result: &impl Serialize) -> io::Result<()> {
    pause(&serde_json::to_string(result)?)
}
