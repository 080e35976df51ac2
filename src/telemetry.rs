//! Logs, on standard error. A failure is logged once, with the ids of what it affects. Never logged: tokens, secrets,
//! signatures, query strings, file names and contents.
//!
//! Logging never blocks and never fails, whatever happens to standard error.

mod as_display;
mod json;
mod level;
mod output;
mod recent;
mod spent;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;

use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use level::{ACCESS, REQUEST, check_filter, set_level, toggle_level};
pub use output::FlushGuard;
use output::Output;
pub use recent::{LoggedError, recent_errors};
pub use spent::Spent;

/// The format of log lines.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For humans: time, level, request, module, message, and fields as `name=value`.
    #[default]
    Text,
    /// For programs: one JSON object per line.
    Json,
}

/// Starts logging panics, and whatever `filter` selects. Dropping the result waits until everything is written. A
/// second call changes nothing.
pub fn start(filter: &str, format: LogFormat) -> Result<FlushGuard, String> {
    let parsed = level::parse(filter)?;
    let dropped = |lines| {
        tracing::error!("{lines} log lines were dropped because standard error was not being read");
    };
    let (output, flush) = Output::start(std::io::stderr(), dropped)
        .map_err(|error| format!("can't start the thread that writes the log: {error}"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(output);
    match format {
        LogFormat::Text => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal()).with_filter_reloading();
            level::remember_handle(filter, lines.reload_handle());
            let _ = lines.finish().with(recent::Errors).try_init();
        }
        LogFormat::Json => {
            let lines = lines.fmt_fields(JsonFields::new()).event_format(json::Lines);
            let lines = lines.with_filter_reloading();
            level::remember_handle(filter, lines.reload_handle());
            let _ = lines.finish().with(recent::Errors).try_init();
        }
    }
    std::panic::set_hook(Box::new(log_panic)); // the default hook blocks while standard error does
    Ok(flush)
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

/// Prints an error or a warning of a command on standard error. Doesn't wait if nothing reads it.
pub fn print_diagnostic(line: &str) {
    if let Ok((mut output, _flush)) = Output::start(std::io::stderr(), |_| ()) {
        let _ = output.write_all(format!("{line}\n").as_bytes());
    }
}

/// Wraps work for another thread, so that its log lines contain the id of the current request.
pub fn in_span<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let span = tracing::Span::current();
    move || span.in_scope(work)
}

/// Formats an error and its causes as one line. Many errors repeat their cause at their own end; that is said once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let cause = source.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::chain;
    use crate::metadata::Error;

    #[test]
    fn an_error_that_repeats_its_cause_is_told_once() {
        let locked = Error::Failed("database is locked".into());
        assert_eq!(chain(&locked), "the database failed: database is locked");
    }
}
