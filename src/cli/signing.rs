//! Tokens printed by commands.

use crate::auth::{Caller, sign};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};

/// A token for `caller`, valid from now on, signed with the server's secret.
pub(super) fn token(config: &Config, caller: Caller, ttl_secs: u64) -> Result<String, ConfigError> {
    let secret = config.secret()?;
    Ok(sign(secret.as_bytes(), caller, Clock::system().unix_secs(), ttl_secs))
}
