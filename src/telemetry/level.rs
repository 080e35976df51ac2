//! Filters what is logged, by level and target. The filter can be changed while the program runs.

use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::reload::Handle;

/// The target of lines in the access log. `--access-log` decides which requests have a line, whatever `--log` says
/// about other targets.
pub(super) const ACCESS: &str = "haversack::access";

/// The log of this process.
static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    set: Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>,
    /// The filter that the process started with.
    initial: String,
    current: Mutex<String>,
}

/// Stores the handle that changes the filter of the log being started.
pub(super) fn remember_handle<S: 'static>(filter: &str, handle: Handle<EnvFilter, S>) {
    let set = move |filter| handle.reload(filter).map_err(|error| error.to_string());
    let (initial, current) = (filter.to_owned(), Mutex::new(filter.to_owned()));
    let _ = LOG.set(Log { set: Box::new(set), initial, current });
}

/// Sets the filter of the log; `None` restores the one that the process started with. Returns the new filter, or an
/// error that says what is wrong with it.
pub fn set_level(filter: Option<&str>) -> Result<String, String> {
    let log = LOG.get().ok_or("this process writes no log")?;
    let filter = filter.unwrap_or(&log.initial);
    (log.set)(parse(filter)?)?;
    let mut current = log.current.lock().unwrap_or_else(PoisonError::into_inner);
    filter.clone_into(&mut current);
    tracing::info!(filter, "log level changed");
    Ok(filter.to_owned())
}

/// Switches between `debug` and the filter that the process started with. Returns the new filter.
pub fn toggle_level() -> Result<String, String> {
    const DEBUG: &str = "debug";
    let log = LOG.get().ok_or("this process writes no log")?;
    let is_debug = *log.current.lock().unwrap_or_else(PoisonError::into_inner) == DEBUG;
    set_level((!is_debug).then_some(DEBUG))
}

/// Returns an error that says why this isn't a valid filter, if it isn't.
pub fn check_filter(filter: &str) -> Result<(), String> {
    parse(filter).map(|_filter| ())
}

pub(super) fn parse(filter: &str) -> Result<EnvFilter, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("log filter \"{filter}\": {why}");
    // A misspelled level would be read as the name of a module, and silence everything else.
    let levels = filter.split(',').filter(|directive| !directive.contains('='));
    if let Some(word) = levels.map(str::trim).find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(wrong(&format_args!(
            "\"{word}\" is not a level: use error, warn, info, debug or trace"
        )));
    }
    // A directive of the user that names this target comes later, so it takes precedence.
    let with_access = format!("{ACCESS}=info,{filter}");
    EnvFilter::try_new(with_access).map_err(|error| wrong(&error))
}
