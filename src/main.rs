//! The `haversack` program.

use std::process::ExitCode;

use clap::Parser;
use haversack::cli::{Cli, Failure, one_line};

/// Halves the CPU time of small chunks compared with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whether the command line is wrong. Help is not an error, and is also shown for an empty command line.
fn is_mistake(error: &clap::Error) -> bool {
    let asks_for_help = clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    error.use_stderr() && error.kind() != asks_for_help
}

/// The conventional exit code for invalid command lines and settings.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let result = match Cli::try_parse() {
        Ok(cli) => cli.run(),
        Err(error) if is_mistake(&error) => Err(Failure::Usage(one_line(&error))),
        Err(help) => help.exit(),
    };
    result.unwrap_or_else(|failure| {
        haversack::telemetry::print_diagnostic(&format!("haversack: {failure}"));
        match failure {
            Failure::Usage(_) => ExitCode::from(USAGE),
            Failure::Failed(_) => ExitCode::FAILURE,
        }
    })
}
