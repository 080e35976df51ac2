//! What is logged: a filter of levels and targets, which can be changed while the program runs.

use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::reload::Handle;

/// The target of the line about a request. `--access-log` alone decides which requests have one.
pub const ACCESS: &str = "haversack::access";
/// The target of the span around a request, which gives its id to every line.
pub const REQUEST: &str = "haversack::request";

/// The one log of this process.
static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    set: Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>,
    /// The filter of the start.
    started_with: String,
    current: Mutex<String>,
}

/// Remembers how to change the filter of the log that is just being started.
pub(super) fn changeable<S: 'static>(filter: &str, handle: Handle<EnvFilter, S>) {
    let set = move |filter| handle.reload(filter).map_err(|error| error.to_string());
    let (started_with, current) = (filter.to_owned(), Mutex::new(filter.to_owned()));
    let _ = LOG.set(Log { set: Box::new(set), started_with, current });
}

/// Logs what this filter lets through from now on; `None` means that of the start. Returns the filter. An error says
/// what is wrong with it.
pub fn set_level(filter: Option<&str>) -> Result<String, String> {
    let log = LOG.get().ok_or("this process writes no log")?;
    let filter = filter.unwrap_or(&log.started_with);
    (log.set)(parse(filter)?)?;
    let mut current = log.current.lock().unwrap_or_else(PoisonError::into_inner);
    filter.clone_into(&mut current);
    tracing::info!(filter, "the log level was changed");
    Ok(filter.to_owned())
}

/// Switches between the filter of the start and `debug`. Returns the new one.
pub fn switch_level() -> Result<String, String> {
    const MORE: &str = "debug";
    let log = LOG.get().ok_or("this process writes no log")?;
    let is_more = *log.current.lock().unwrap_or_else(PoisonError::into_inner) == MORE;
    set_level((!is_more).then_some(MORE))
}

/// Checks that this is a filter; an error says why not.
pub fn is_filter(filter: &str) -> Result<(), String> {
    parse(filter).map(|_filter| ())
}

pub(super) fn parse(filter: &str) -> Result<EnvFilter, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("log filter \"{filter}\": {why}");
    // A misspelled level would be taken for the name of a module, and silence everything else.
    let levels = filter.split(',').filter(|directive| !directive.contains('='));
    if let Some(word) = levels.map(str::trim).find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(wrong(&format_args!(
            "\"{word}\" is not a level: use error, warn, info, debug or trace"
        )));
    }
    // A later directive for the same target counts: who names these means it.
    let with_requests = format!("{REQUEST}=error,{ACCESS}=info,{filter}");
    EnvFilter::try_new(with_requests).map_err(|error| wrong(&error))
}
