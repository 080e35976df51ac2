//! `haversack jobs`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::output::print;
use super::place::Place;
use crate::app;
use crate::clock::Clock;
use crate::control::{self, Command};
use crate::ids::JobId;
use crate::metadata::jobs::JobStatus;
use crate::words::{self, counted};

/// Number of jobs read at once.
const PAGE: u32 = 500;

/// What each kind of job does, for the help.
pub(super) const KINDS: &str = "\
Kinds of jobs:
  thumbnail     make a picture's thumbnail
  delete        delete bytes that are no longer needed
  forget-parts  remove the chunk records of an upload that had very many and has ended
  finish        finish an upload whose ?done was interrupted by a crash
  pack          copy the pieces of a file that was joined from several uploads into one blob
  compare       after a reboot, check data that had not been synced against its checksums
  expire        every minute: expire idle uploads, and delete unattached files (--unattached-ttl)
  collect       every hour: delete bytes that belong to no record";

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,

    /// Print the jobs as JSON, one per line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Immediately retry jobs that failed or were set aside. A running server carries this out
    Retry {
        /// The job to retry [default: all of them]
        #[arg(value_name = "ID", value_parser = parse_id)]
        id: Option<JobId>,

        #[command(flatten)]
        place: Place,
    },
}

fn parse_id(text: &str) -> Result<JobId, String> {
    JobId::parse(text).ok_or_else(|| "not a job id: `haversack jobs` lists them".to_owned())
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.action {
        Some(Action::Retry { id, place }) => retry(id, &place),
        None => list(arguments.json, &arguments.place),
    }
}

fn retry(id: Option<JobId>, place: &Place) -> Result<(), Failure> {
    let config = place.load()?;
    let id = id.map(|id| id.to_string());
    let done = control::carry_out(config, Command::RetryJobs { id })?;
    let count = done["retried"].as_u64().unwrap_or_default();
    Ok(print(|out| writeln!(out, "{} will be retried", counted(count, "job")))?)
}

/// Lists jobs without changing anything, even while a server is running.
fn list(json: bool, place: &Place) -> Result<(), Failure> {
    let config = place.load()?;
    let failed = |error: &dyn std::fmt::Display| app::data_dir_error(&config.data_dir, error);
    let runtime = tokio::runtime::Runtime::new().map_err(|error| failed(&error))?;
    let store = runtime.block_on(app::open_read_only(&config))?;
    let now = Clock::system().unix_secs();
    let (mut after, mut count) = (0, 0);
    loop {
        let page = runtime.block_on(store.list_jobs(after, PAGE, now));
        let (jobs, next) = page.map_err(|error| failed(&error))?;
        count += jobs.len();
        print(|out| {
            jobs.iter().try_for_each(|job| {
                let line = if json { serde_json::to_string(job)? } else { line(job, now) };
                writeln!(out, "{line}")
            })
        })?;
        match next {
            Some(next) => after = next,
            None => break,
        }
    }
    if count == 0 && !json {
        print(|out| writeln!(out, "no jobs"))?;
    }
    Ok(())
}

/// Formats a job as a line for humans.
fn line(job: &JobStatus, now: u64) -> String {
    let state = if job.set_aside {
        "set aside".to_owned()
    } else if job.running {
        "running".to_owned()
    } else if job.run_at > now {
        format!("in {}", words::duration(Duration::from_secs(job.run_at - now)))
    } else {
        "due".to_owned()
    };
    let failures = match job.failures {
        0 => String::new(),
        1 => ", failed once".to_owned(),
        count => format!(", failed {count} times"),
    };
    let error = job.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    let about = match (&job.upload, &job.user) {
        (Some(upload), Some(user)) => format!(" (upload {upload} of user {user})"),
        (Some(upload), None) => format!(" (upload {upload})"),
        _ => String::new(),
    };
    format!("{} {:<9} {state}{failures}{error}{about}", job.id, job.kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::jobs::JobKind;

    #[test]
    fn the_help_describes_every_kind_of_job() {
        for kind in JobKind::ALL {
            let line = format!("\n  {:<14}", kind.name());
            assert!(KINDS.contains(&line), "{kind:?}");
        }
        assert_eq!(KINDS.lines().count(), 1 + JobKind::ALL.len());
    }

    #[test]
    fn the_time_of_a_job_is_shown_in_common_units() {
        let job = JobStatus {
            id: "id".to_owned(),
            kind: "collect".to_owned(),
            subject: String::new(),
            upload: None,
            user: None,
            run_at: 10_000 + 5400,
            running: false,
            deaths: 0,
            failures: 1,
            set_aside: false,
            error: Some("why".to_owned()),
        };
        assert_eq!(line(&job, 10_000), "id collect   in 1 h 30 min, failed once: why");
        assert_eq!(line(&job, 20_000), "id collect   due, failed once: why");
    }
}
