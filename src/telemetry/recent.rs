//! The last errors that this process logged, for `haversack status`.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::as_display::AsDisplay;

/// Number of errors that are kept.
const KEPT: usize = 20;

/// An error that was logged.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct LoggedError {
    /// When it was logged (unix seconds).
    pub at: u64,
    /// The message and its fields, as in the log.
    pub error: String,
}

static ERRORS: Mutex<VecDeque<LoggedError>> = Mutex::new(VecDeque::new());

/// Returns the last errors that were logged, oldest first.
pub fn recent_errors() -> Vec<LoggedError> {
    errors().iter().cloned().collect()
}

fn errors() -> MutexGuard<'static, VecDeque<LoggedError>> {
    ERRORS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps events at level error.
pub(super) struct Errors;

impl<S: Subscriber> Layer<S> for Errors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() != Level::ERROR {
            return;
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut errors = errors();
        if errors.len() == KEPT {
            errors.pop_front();
        }
        errors.push_back(LoggedError { at: since.as_secs(), error: line.0 });
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        let _ = match field.name() {
            "message" => write!(self.0, "{space}{}", AsDisplay(value)),
            name => write!(self.0, "{space}{name}={}", AsDisplay(value)),
        };
    }
}
