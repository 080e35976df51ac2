//! What every command that signs tokens takes: where the server's secret is found.

use clap::Args;

use super::place::Place;
use crate::auth::{Caller, sign};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Secret, Settings};

#[derive(Args, Debug)]
pub(super) struct Signing {
    /// The secret that the server shares with the application [default: the one in its data directory]
    #[arg(long, env = "HAVERSACK_JWT_SECRET", value_name = "SECRET", hide_env_values = true)]
    jwt_secret: Option<Secret>,

    #[command(flatten)]
    place: Place,
}

impl Signing {
    /// The server's configuration as far as these arguments and `settings` tell.
    pub(super) fn load(self, settings: Settings) -> Result<Config, ConfigError> {
        self.place.load(Settings { jwt_secret: self.jwt_secret, ..settings })
    }
}

/// A token for `caller`, valid from now on, signed with the secret that the server of this configuration has.
pub(super) fn token(config: &Config, caller: Caller, ttl_secs: u64) -> Result<String, ConfigError> {
    let secret = config.secret()?;
    Ok(sign(secret.as_bytes(), caller, Clock::system().unix_secs(), ttl_secs))
}
