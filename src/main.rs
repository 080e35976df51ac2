//! The `haversack` program.

use std::process::ExitCode;

use clap::Parser;

/// Halves the CPU time of small chunks against the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Help, also for an empty command line, is printed as it is.
fn is_mistake(error: &clap::Error) -> bool {
    let asks_for_help = clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    error.use_stderr() && error.kind() != asks_for_help
}

fn main() -> ExitCode {
    let result = match haversack::cli::Cli::try_parse() {
        Ok(cli) => cli.run().map_err(|error| error.to_string()),
        Err(error) if is_mistake(&error) => Err(haversack::cli::one_line(&error)),
        Err(help) => help.exit(),
    };
    match result {
        Ok(code) => code,
        Err(message) => {
            haversack::telemetry::complain(&format!("haversack: {message}"));
            ExitCode::FAILURE
        }
    }
}
