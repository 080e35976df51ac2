//! Tokens that commands print.

use crate::auth::{Caller, sign};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};

/// Signs a token for `caller` with the server's secret. It is valid for `ttl_secs` from now.
pub(super) fn token(config: &Config, caller: Caller, ttl_secs: u64) -> Result<String, ConfigError> {
    let secret = config.secret()?;
    Ok(sign(secret.as_bytes(), caller, Clock::system().unix_secs(), ttl_secs))
}
