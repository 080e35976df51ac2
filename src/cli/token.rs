//! `haversack token`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::auth::{Caller, sign};
use crate::clock::Clock;
use crate::config::{ConfigError, Secret, Settings, Source, Span};
use crate::ids::UserId;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The user whom the token names
    #[arg(
        long,
        value_name = "ID",
        allow_negative_numbers = true,
        required_unless_present = "service"
    )]
    user_id: Option<i64>,

    /// A token for the application's backend instead of a user's
    #[arg(long, conflicts_with = "user_id")]
    service: bool,

    /// How long it is valid
    #[arg(long, value_name = "TIME", default_value = "1h")]
    ttl: Span,

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

pub(super) fn run(arguments: Arguments) -> Result<(), ConfigError> {
    let settings = Settings {
        data_dir: arguments.data_dir,
        jwt_secret: arguments.jwt_secret,
        ..Settings::default()
    };
    let secret = Source { config: arguments.config, settings }.load()?.secret()?;
    let caller = arguments.user_id.map_or(Caller::Service, |id| Caller::User(UserId(id)));
    let now = Clock::system().unix_secs();
    let token = sign(secret.as_bytes(), caller, now, arguments.ttl.0.as_secs());
    writeln!(std::io::stdout(), "{token}").map_err(|error| ConfigError(error.to_string()))
}
