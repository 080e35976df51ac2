//! Logs, on standard error. A failure is logged once, with the identifiers it concerns; tokens, secrets,
//! signatures, query strings, file names and contents never are.
//!
//! Whoever logs never waits and never fails, whatever becomes of standard error.

mod output;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

pub use output::Finish;
use output::Output;

/// Begins to log what `filter` lets through, panics included, until the result is dropped, which waits until all of
/// it is written. A second call changes nothing.
pub fn start(filter: &str) -> Result<Finish, String> {
    let filter = parse(filter)?;
    let dropped = |lines| {
        tracing::error!("log lines dropped because standard error could not take them: {lines}");
    };
    let (output, finish) = Output::start(std::io::stderr(), dropped)
        .map_err(|error| format!("can't start a thread that writes the log: {error}"))?;
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(output)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    std::panic::set_hook(Box::new(log_panic)); // the standard one writes to standard error and waits for it
    Ok(finish)
}

/// Whether [`start`] would take this filter, and if not, why.
pub fn is_filter(filter: &str) -> Result<(), String> {
    parse(filter).map(|_filter| ())
}

fn parse(filter: &str) -> Result<EnvFilter, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("log filter \"{filter}\": {why}");
    // A misspelled level would count as a module's name and silence everything else.
    let levels = filter.split(',').filter(|directive| !directive.contains('='));
    if let Some(word) = levels.map(str::trim).find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(wrong(&format_args!(
            "\"{word}\" is no level: error, warn, info, debug or trace"
        )));
    }
    EnvFilter::try_new(filter).map_err(|error| wrong(&error))
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(&backtrace);
    let at = panic.location().map(tracing::field::display);
    let message = panic.payload_as_str().unwrap_or("no message");
    tracing::error!(
        at,
        message,
        backtrace = backtrace.map(tracing::field::display),
        "a task panicked"
    );
}

/// Writes a line to standard error for the person at the command line, unless nobody takes it.
pub fn complain(line: &str) {
    if let Ok((mut output, _finish)) = Output::start(std::io::stderr(), |_| ()) {
        let _ = output.write_all(format!("{line}\n").as_bytes());
    }
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
