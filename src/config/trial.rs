//! Variables by which tests control the real program. Builds without `debug_assertions` ignore them.

use std::time::Duration;

use super::error::ConfigError;
use super::units::Span;

const CRASH_AT: &str = "HAVERSACK_CRASH_AT";
const CLOCK_AHEAD: &str = "HAVERSACK_CLOCK_AHEAD";

/// Their names.
pub(super) const VARIABLES: &[&str] =
    if cfg!(debug_assertions) { &[CRASH_AT, CLOCK_AHEAD] } else { &[] };

/// What a test asks for.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// Crash point and the hit on which to crash, as `name:n`.
    pub crash_at: Option<String>,
    /// How far the server's clock and uptime are ahead. If at all, periodic jobs run at once.
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
