//! Logs, on standard error. A failure is logged once, with the identifiers it concerns. Never logged: tokens, secrets,
//! signatures, query strings, file names and contents.
//!
//! Logging never waits and never fails, whatever happens to standard error.

mod output;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

pub use output::Finish;
use output::Output;

/// Starts logging what `filter` lets through, and panics. Dropping the result waits until everything is written. A
/// second call changes nothing.
pub fn start(filter: &str) -> Result<Finish, String> {
    let filter = parse(filter)?;
    let dropped = |lines| {
        tracing::error!("{lines} log lines were dropped because nobody read standard error");
    };
    let (output, finish) = Output::start(std::io::stderr(), dropped)
        .map_err(|error| format!("can't start the thread that writes the log: {error}"))?;
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(output)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    std::panic::set_hook(Box::new(log_panic)); // the standard one writes to standard error and waits for it
    Ok(finish)
}

/// Checks that [`start`] would accept this filter; an error says why not.
pub fn is_filter(filter: &str) -> Result<(), String> {
    parse(filter).map(|_filter| ())
}

fn parse(filter: &str) -> Result<EnvFilter, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("log filter \"{filter}\": {why}");
    // A misspelled level would be taken for the name of a module, and silence everything else.
    let levels = filter.split(',').filter(|directive| !directive.contains('='));
    if let Some(word) = levels.map(str::trim).find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(wrong(&format_args!(
            "\"{word}\" is not a level: use error, warn, info, debug or trace"
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

/// Writes a line to standard error for the person at the command line. Doesn't wait for a reader.
pub fn complain(line: &str) {
    if let Ok((mut output, _finish)) = Output::start(std::io::stderr(), |_| ()) {
        let _ = output.write_all(format!("{line}\n").as_bytes());
    }
}

/// An error and its causes, as one line.
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
