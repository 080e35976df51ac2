//! Logs, on standard error. A failure is logged once, with the ids of what it affects. Never logged: tokens, secrets,
//! signatures, query strings, file names and contents.
//!
//! Logging never blocks and never fails, whatever happens to standard error.

mod as_display;
mod context;
mod level;
mod line;
mod output;
mod recent;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::{Event, Level, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

pub use context::{
    InContext, RequestContext, in_thread, on_behalf, spent_in_database, spent_on_files,
};
use level::ACCESS;
pub use level::{check_filter, set_level, toggle_level};
pub use line::{Line, LogFormat};
pub use output::FlushGuard;
use output::Output;
pub use recent::{LoggedError, recent_errors};

/// Writes the lines of this process.
static LINES: OnceLock<Lines> = OnceLock::new();
/// Where they go.
static OUTPUT: OnceLock<Output> = OnceLock::new();

/// Starts logging panics, and whatever `filter` selects. Dropping the result waits until everything is written. A
/// second call changes nothing.
pub fn start(filter: &str, format: LogFormat) -> Result<FlushGuard, String> {
    let dropped = |lines| {
        tracing::error!("{lines} log lines were dropped because standard error was not being read");
    };
    let (output, flush) = Output::start(std::io::stderr(), dropped)
        .map_err(|error| format!("can't start the thread that writes the log: {error}"))?;
    let _ = OUTPUT.set(output.clone());
    let colours = std::io::stderr().is_terminal();
    start_with(filter, format, colours, move |line| output.write(line))?;
    std::panic::set_hook(Box::new(log_panic)); // the default hook blocks while standard error does
    Ok(flush)
}

/// Waits until all log lines so far are written, but no longer than this. Call it before work that may end the process.
/// Blocks.
pub fn wait_until_written(timeout: Duration) {
    if let Some(output) = OUTPUT.get() {
        output.wait_until_written(timeout);
    }
}

/// Starts passing the lines that `filter` selects to `write`, which must not block. A second call changes nothing.
pub fn start_with(
    filter: &str,
    format: LogFormat,
    colours: bool,
    write: impl Fn(&[u8]) + Send + Sync + 'static,
) -> Result<(), String> {
    let (levels, handle) = reload::Layer::new(level::parse(filter)?);
    level::remember_handle(filter, handle);
    let lines = LINES.get_or_init(|| Lines { format, colours, write: Arc::new(write) });
    let log = tracing_subscriber::registry().with(levels).with(lines.clone()).with(recent::Errors);
    let _ = log.try_init();
    Ok(())
}

/// Writes a line without blocking.
type WriteLine = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Writes lines in this format.
#[derive(Clone)]
struct Lines {
    format: LogFormat,
    colours: bool,
    write: WriteLine,
}

impl Lines {
    fn write(
        &self,
        level: Level,
        target: &str,
        request: Option<&RequestContext>,
        fields: impl FnOnce(&mut Line<'_>),
    ) {
        let mut line = Line::begin(self.format, self.colours, level, target, request);
        fields(&mut line);
        (self.write)(&line.end());
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let of_log = event.normalized_metadata();
        let metadata = of_log.as_ref().unwrap_or_else(|| event.metadata());
        let request = context::current();
        let fields = |line: &mut Line<'_>| event.record(line);
        self.write(*metadata.level(), metadata.target(), request.as_deref(), fields);
    }
}

/// Writes a line of the access log, unless the level hides its target. It isn't an event, because events with so many
/// fields take ten times as long as writing the line does.
pub fn log_access(
    request: Option<&RequestContext>,
    message: &str,
    fields: impl FnOnce(&mut Line<'_>),
) {
    if let Some(lines) = LINES.get()
        && tracing::enabled!(target: ACCESS, Level::INFO)
    {
        lines.write(Level::INFO, ACCESS, request, |line| {
            line.message(message);
            fields(line);
        });
    }
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(&backtrace);
    let at = panic.location().map(tracing::field::display);
    let said = panic.payload_as_str().unwrap_or("no message");
    tracing::error!(
        at,
        said,
        backtrace = backtrace.map(tracing::field::display),
        "a task panicked"
    );
}

/// Prints an error or a warning of a command on standard error. Doesn't wait if nothing reads it.
pub fn print_diagnostic(line: &str) {
    if let Ok((output, _flush)) = Output::start(std::io::stderr(), |_| ()) {
        output.write(format!("{line}\n").as_bytes());
    }
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
