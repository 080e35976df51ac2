//! `haversack check`: checks whether the database meets the server's requirements.

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
            writeln!(out, "ok: the records are in the data directory; --database-url is not set")
        })?;
        return Ok(ExitCode::SUCCESS);
    };
    let runtime = tokio::runtime::Runtime::new().map_err(|error| ConfigError(error.to_string()))?;
    let findings = runtime
        .block_on(postgres::check(options))
        .map_err(|error| ConfigError(format!("--database-url: {}", chain(&error))))?;
    print(|out| {
        findings.iter().try_for_each(|finding| match finding {
            Finding::Good(text) => writeln!(out, "ok: {text}"),
            Finding::Warning(text) => writeln!(out, "warning: {text}"),
            Finding::Missing(text) => writeln!(out, "missing: {text}"),
        })
    })?;
    let is_missing = findings.iter().any(|finding| matches!(finding, Finding::Missing(_)));
    Ok(if is_missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
