//! `haversack token`.

use std::io::Write;

use clap::Args;

use crate::auth::{Caller, sign};
use crate::clock::Clock;
use crate::config::{ConfigError, Source, Span};
use crate::ids::UserId;

#[derive(Args, Debug)]
#[group(id = "whose", args = ["user_id", "service"], required = true, multiple = false)]
pub(super) struct Arguments {
    /// The user whom the token names
    #[arg(long, value_name = "ID")]
    user_id: Option<i64>,

    /// A token for the application's backend instead of a user's
    #[arg(long)]
    service: bool,

    /// How long it is valid
    #[arg(long, value_name = "TIME", default_value = "1h")]
    ttl: Span,

    #[command(flatten)]
    source: Source,
}

pub(super) fn run(arguments: Arguments) -> Result<(), ConfigError> {
    let secret = arguments.source.load()?.secret()?;
    let caller = arguments
        .user_id
        .map_or(Caller::Service, |id| Caller::User(UserId(id)));
    let now = Clock::system().unix_secs();
    let token = sign(secret.as_bytes(), caller, now, arguments.ttl.0.as_secs());
    writeln!(std::io::stdout(), "{token}").map_err(|error| ConfigError(error.to_string()))
}
