//! `haversack status`.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::failure::Failure;
use super::output::print;
use super::place::Place;
use crate::app::JobsOfKind;
use crate::config::ConfigError;
use crate::control::{self, Command, Status};
use crate::space::in_words;
use crate::words::{bytes, counted, duration};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Print everything as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let reply = control::ask_server(&arguments.place.data_dir()?, &Command::Status)?;
    if arguments.json {
        return Ok(print(|out| writeln!(out, "{reply}"))?);
    }
    let status = serde_json::from_value(reply).map_err(|error| {
        ConfigError(format!(
            "the running server is a different version of haversack ({error}): use --json"
        ))
    })?;
    Ok(print(|out| write_status(out, &status))?)
}

/// Writes the status for humans.
fn write_status(out: &mut dyn Write, status: &Status) -> io::Result<()> {
    let Status { version, pid, listen, state, .. } = status;
    let uptime = duration(Duration::from_secs(status.uptime_secs));
    writeln!(out, "haversack {version}, process {pid}, running for {uptime}")?;
    writeln!(out, "listens on  http://{listen}")?;
    for (what, problem) in &state.ready {
        writeln!(out, "{what:<11} {}", problem.as_deref().unwrap_or("ready"))?;
    }
    let (uploads, downloads) = (status.uploads_in_flight, status.downloads_in_flight);
    writeln!(out, "in flight   uploads: {uploads}, downloads: {downloads}")?;
    let limit = match state.storage_limit_bytes {
        Some(limit) => {
            let refused = match state.storage_limit_refusals {
                0 => String::new(),
                count => format!("; {} didn't fit", counted(count, "request")),
            };
            format!(" of {} (--max-storage){refused}", bytes(limit))
        }
        None => String::new(),
    };
    let stored = state.stored_bytes.map_or("unknown: the records can't be read".to_owned(), bytes);
    writeln!(out, "stored      {stored}{limit}")?;
    let kept = in_words(state.kept_free_bytes);
    for disk in &state.disks {
        let free = in_words(disk.free_bytes);
        let inodes = match disk.free_inodes {
            Some(0) => ", but no inodes (df -i)",
            _ => "",
        };
        let holds = &disk.holds;
        writeln!(out, "disk        with the {holds}: {free} free{inodes}, {kept} must stay free")?;
    }
    for jobs in &state.jobs {
        writeln!(out, "jobs        {}", describe(jobs))?;
    }
    if status.errors.is_empty() {
        writeln!(out, "errors      none were logged")?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    for error in &status.errors {
        let ago = duration(Duration::from_secs(now.saturating_sub(error.at)));
        writeln!(out, "error       {ago} ago: {}", error.error)?;
    }
    Ok(())
}

fn describe(jobs: &JobsOfKind) -> String {
    let counts = [
        (jobs.due, "due"),
        (jobs.running, "running"),
        (jobs.retrying, "failed, to be retried"),
        (jobs.scheduled, "scheduled"),
        (jobs.set_aside, "set aside"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts.map(|(count, state)| format!("{count} {state}")).collect();
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let oldest = match jobs.oldest_secs {
        0 => String::new(),
        secs => format!("; the oldest is {} old", duration(Duration::from_secs(secs))),
    };
    format!("{}: {counts}{oldest}", jobs.kind)
}
