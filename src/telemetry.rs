//! Logs, on standard error. A failure is logged once, with the identifiers it concerns. Never logged: tokens, secrets,
//! signatures, query strings, file names and contents.
//!
//! Logging never waits and never fails, whatever happens to standard error.

mod json;
mod level;
mod output;
mod recent;
mod shown;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;

use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use level::{ACCESS, REQUEST, is_filter, set_level, switch_level};
pub use output::Finish;
use output::Output;
pub use recent::{Recent, recent_errors};

/// The form of a line.
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
    /// For people: time, level, request, module, message, and fields as `name=value`.
    #[default]
    Text,
    /// For programs: one JSON object per line.
    Json,
}

/// Starts logging what `filter` lets through, and panics. Dropping the result waits until everything is written. A
/// second call changes nothing.
pub fn start(filter: &str, format: LogFormat) -> Result<Finish, String> {
    let parsed = level::parse(filter)?;
    let dropped = |lines| {
        tracing::error!("{lines} log lines were dropped because nobody read standard error");
    };
    let (output, finish) = Output::start(std::io::stderr(), dropped)
        .map_err(|error| format!("can't start the thread that writes the log: {error}"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(output);
    match format {
        LogFormat::Text => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal()).with_filter_reloading();
            level::changeable(filter, lines.reload_handle());
            let _ = lines.finish().with(recent::Errors).try_init();
        }
        LogFormat::Json => {
            let lines = lines.fmt_fields(JsonFields::new()).event_format(json::Lines);
            let lines = lines.with_filter_reloading();
            level::changeable(filter, lines.reload_handle());
            let _ = lines.finish().with(recent::Errors).try_init();
        }
    }
    std::panic::set_hook(Box::new(log_panic)); // the standard one writes to standard error and waits for it
    Ok(finish)
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

/// Work for another thread, whose log lines name the request that it is done for.
pub fn in_span<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let span = tracing::Span::current();
    move || span.in_scope(work)
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
