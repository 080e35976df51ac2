//! `haversack log-level`.

use clap::Args;

use super::failure::Failure;
use super::output::print;
use super::place::Place;
use crate::control::{self, Command};
use crate::telemetry;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// What to log, as for --log: error, warn, info, debug or trace, for everything or per module [default: the level
    /// that the server started with]
    #[arg(value_name = "FILTER", value_parser = filter)]
    filter: Option<String>,

    #[command(flatten)]
    place: Place,
}

fn filter(text: &str) -> Result<String, String> {
    telemetry::check_filter(text).map(|()| text.to_owned())
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { filter, place } = arguments;
    let set = control::ask_server(&place.data_dir()?, &Command::LogLevel { filter })?;
    Ok(print(|out| writeln!(out, "the server logs {}", set.as_str().unwrap_or_default()))?)
}
