//! The last errors of this process, for `haversack status`.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::shown::Shown;

/// How many are kept.
const KEPT: usize = 20;

/// An error that was logged.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Recent {
    /// When, in unix seconds.
    pub at: u64,
    /// The message and its fields, as in the log.
    pub error: String,
}

static ERRORS: Mutex<VecDeque<Recent>> = Mutex::new(VecDeque::new());

/// The last errors that were logged, oldest first.
pub fn recent_errors() -> Vec<Recent> {
    errors().iter().cloned().collect()
}

fn errors() -> MutexGuard<'static, VecDeque<Recent>> {
    ERRORS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps what is logged as an error.
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
        errors.push_back(Recent { at: since.as_secs(), error: line.0 });
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        let _ = match field.name() {
            "message" => write!(self.0, "{space}{}", Shown(value)),
            name => write!(self.0, "{space}{name}={}", Shown(value)),
        };
    }
}
