//! Logs, on standard error. A failure is logged once, with the identifiers it concerns; tokens, secrets,
//! signatures, query strings, file names and contents never are.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Begins to log what `filter` lets through; a second call changes nothing.
pub fn start(filter: &str) -> Result<(), String> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| format!("log filter {filter:?}: {error}"))?;
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    Ok(())
}
