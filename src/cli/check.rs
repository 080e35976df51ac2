//! `haversack check`: whether the database can keep the records.

use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::output::print;
use super::place::Place;
use crate::config::ConfigError;
use crate::metadata::postgres::{self, Finding};
use crate::telemetry::chain;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let config = arguments.place.load()?;
    let Some(options) = &config.database else {
        print(|out| {
            writeln!(
                out,
                "ok: records are in the data directory; there is no --database-url to check"
            )
        })?;
        return Ok(ExitCode::SUCCESS);
    };
    let runtime = tokio::runtime::Runtime::new().map_err(|error| ConfigError(error.to_string()))?;
    let findings = runtime
        .block_on(postgres::check(options))
        .map_err(|error| ConfigError(format!("--database-url: {}", chain(&error))))?;
    print(|out| {
        findings.iter().try_for_each(|finding| match finding {
            Finding::Good(what) => writeln!(out, "ok: {what}"),
            Finding::Warning(what) => writeln!(out, "warning: {what}"),
            Finding::Missing(what) => writeln!(out, "missing: {what}"),
        })
    })?;
    let is_missing = findings.iter().any(|finding| matches!(finding, Finding::Missing(_)));
    Ok(if is_missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
