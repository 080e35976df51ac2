//! The load of `bench/run`: reads one job (JSON, a line on standard input), carries it out and prints the result
//! (JSON). Between the steps of a job it prints a word and waits for a line, so that whoever gave the job can look
//! at the server meanwhile. It refuses to know which server it loads, and measures nothing of it but time.

mod client;
mod crowd;
mod dialect;
mod download;
mod timings;
mod uploads;

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

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

/// Says that a step is done and waits until the next may begin.
fn pause(word: &str) -> io::Result<()> {
    say(word)?;
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Stays until it is told to go, so that its own use of the processor can be read.
fn report(result: &impl Serialize) -> io::Result<()> {
    pause(&serde_json::to_string(result)?)
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Where requests go.
#[derive(Deserialize)]
struct Target {
    address: std::net::SocketAddr,
    dialect: dialect::Dialect,
    path: String,
    /// One for each client, taken in turn; none: requests carry no token.
    tokens: Vec<String>,
}

impl Target {
    fn speaker(&self, client: usize) -> dialect::Speaker {
        let token = self.tokens.get(client % self.tokens.len().max(1)).cloned();
        dialect::Speaker {
            dialect: self.dialect,
            host: self.address.to_string(),
            path: self.path.clone(),
            token: token.unwrap_or_default(),
        }
    }
}

/// Bytes that look like nothing and compress to nothing, the same in every run (xorshift).
fn payload(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
