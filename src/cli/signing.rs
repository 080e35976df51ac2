//! What every command that signs tokens takes: where the server's secret is found.

use std::path::PathBuf;

use clap::Args;

use crate::auth::{Caller, sign};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Secret, Settings, Source};

#[derive(Args, Debug)]
pub(super) struct Signing {
    /// The server's data directory, whose secret signs when no other is configured
    /// [default: ./haversack-data]
    #[arg(long, env = "HAVERSACK_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// The secret that the server shares with the application
    #[arg(long, env = "HAVERSACK_JWT_SECRET", value_name = "SECRET", hide_env_values = true)]
    jwt_secret: Option<Secret>,

    /// The server's configuration file
    #[arg(long, env = "HAVERSACK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Signing {
    /// The server's configuration as far as these arguments and `settings` tell.
    pub(super) fn load(self, settings: Settings) -> Result<Config, ConfigError> {
        let settings =
            Settings { data_dir: self.data_dir, jwt_secret: self.jwt_secret, ..settings };
        Source { config: self.config, settings }.load()
    }
}

/// A token for `caller`, valid from now on, signed with the secret that the server of this configuration has.
pub(super) fn token(config: &Config, caller: Caller, ttl_secs: u64) -> Result<String, ConfigError> {
    let secret = config.secret()?;
    Ok(sign(secret.as_bytes(), caller, Clock::system().unix_secs(), ttl_secs))
}
