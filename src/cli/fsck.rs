//! `haversack fsck`.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::output::print;
use super::place::Place;
use crate::app;
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::control::{self, Command};
use crate::fsck::{self, Report};
use crate::storage::disk::DiskStore;
use crate::telemetry;
use crate::words::{self, counted};

/// Records and files don't agree, or still don't after a repair.
const FOUND: u8 = 1;
/// The check failed.
const FAILED: u8 = 2;

#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools)] // each is a flag
pub(super) struct Arguments {
    /// Also read all files and compare their checksums
    #[arg(long)]
    deep: bool,

    /// Repair what can be repaired: delete bytes without a record, make clients send lost chunks again, and remove the
    /// records of files whose bytes are gone. A running server carries this out
    #[arg(long)]
    repair: bool,

    /// Repair even if more than 10 files and more than 1 % of all files are missing. By default, --repair refuses in
    /// this case, because the disk is probably not mounted
    #[arg(long, requires = "repair", alias = "even-if-most-are-missing")]
    even_if_many_are_missing: bool,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let (json, repair) = (arguments.json, arguments.repair);
    let clean = report(arguments).and_then(|report| {
        print(|out| write_report(out, &report, json, repair))?;
        Ok(report.clean)
    });
    match clean {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FOUND),
        Err(error) => {
            telemetry::print_diagnostic(&format!("haversack: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

fn report(arguments: &Arguments) -> Result<Report, Failure> {
    let config = arguments.place.load()?;
    if arguments.repair {
        let Arguments { deep, even_if_many_are_missing, .. } = *arguments;
        let done = control::carry_out(config, Command::Repair { deep, even_if_many_are_missing })?;
        return Ok(serde_json::from_value(done).map_err(|error| ConfigError(error.to_string()))?);
    }
    Ok(check(&config, arguments.deep)?)
}

/// Checks without changing anything, even while a server is running.
fn check(config: &Config, deep: bool) -> Result<Report, ConfigError> {
    let dir = &config.data_dir;
    let failed = |error: &dyn std::fmt::Display| app::data_dir_error(dir, error);
    app::refuse_if_unused(dir)?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| failed(&error))?;
    let metadata = runtime.block_on(app::open_read_only(config))?;
    let blobs = DiskStore::at(dir);
    // If no server is running, no bytes are about to get a record.
    let strays_before = match app::lock(dir)? {
        Some(_) => u64::MAX,
        None => Clock::system().unix_secs().saturating_sub(config.unclaimed_age().as_secs()),
    };
    runtime
        .block_on(fsck::check(metadata.as_ref(), &blobs, deep, strays_before))
        .map_err(|error| failed(&error))
}

fn write_report(
    out: &mut dyn Write,
    report: &Report,
    json: bool,
    repair: bool,
) -> std::io::Result<()> {
    if json {
        return writeln!(out, "{}", serde_json::to_string(report)?);
    }
    for finding in &report.findings {
        let of = finding.uuid.as_deref().unwrap_or("no record");
        writeln!(out, "{}: {of} (blob {}): {}", finding.kind, finding.blob, finding.detail)?;
    }
    let Report { files, unfinished, bytes, findings, repaired, .. } = report;
    let (files, unfinished) = (counted(*files, "file"), counted(*unfinished, "unfinished upload"));
    writeln!(out, "{files} and {unfinished}, {}", words::bytes(*bytes))?;
    if repair {
        writeln!(out, "{} repaired", counted(*repaired, "finding"))?;
    }
    let left = counted(findings.len(), "finding");
    match (findings.is_empty(), repair) {
        (true, _) => writeln!(out, "records and stored files agree"),
        (false, true) => writeln!(out, "{left} left: restore the files above from a backup"),
        (false, false) => writeln!(out, "{left}; use --repair to repair what can be repaired"),
    }
}
