//! Logs, on standard error. A failure is logged once, with the identifiers it concerns; tokens, secrets,
//! signatures, query strings, file names and contents never are.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Begins to log what `filter` lets through; a second call changes nothing.
pub fn start(filter: &str) -> Result<(), String> {
    let wrong = |why: &dyn std::fmt::Display| format!("log filter {filter:?}: {why}");
    // A misspelled level would count as a module's name and silence everything else.
    let levels = filter.split(',').filter(|directive| !directive.contains('='));
    if let Some(word) = levels.map(str::trim).find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(wrong(&format_args!(
            "{word:?} is no level: error, warn, info, debug or trace"
        )));
    }
    let filter = EnvFilter::try_new(filter).map_err(|error| wrong(&error))?;
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    Ok(())
}

/// An error and what caused it, in one line for the log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
