//! What tests order of the real program by variables. Builds without `debug_assertions` know none of them.

use std::time::Duration;

use super::error::ConfigError;
use super::units::Span;

const CRASH_AT: &str = "HAVERSACK_CRASH_AT";
const CLOCK_AHEAD: &str = "HAVERSACK_CLOCK_AHEAD";

/// The variables of a trial.
pub(super) const VARIABLES: &[&str] =
    if cfg!(debug_assertions) { &[CRASH_AT, CLOCK_AHEAD] } else { &[] };

/// What a test has ordered.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// The point at which to die, and the how-manieth time: `name:n`.
    pub crash_at: Option<String>,
    /// By how much the server's clock and its uptime are ahead; then it does at once what it does from time to time.
    pub clock_ahead: Duration,
}

impl Trial {
    /// Reads the variables.
    pub fn load() -> Result<Self, ConfigError> {
        if !cfg!(debug_assertions) {
            return Ok(Self::default());
        }
        let ahead = std::env::var(CLOCK_AHEAD).ok().map(|text| text.parse::<Span>());
        let ahead =
            ahead.transpose().map_err(|error| ConfigError(format!("{CLOCK_AHEAD}: {error}")))?;
        Ok(Self {
            crash_at: std::env::var(CRASH_AT).ok(),
            clock_ahead: ahead.map_or(Duration::ZERO, |span| span.0),
        })
    }
}
