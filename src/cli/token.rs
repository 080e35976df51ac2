//! `haversack token`.

use clap::Args;

use super::failure::Failure;
use super::output::print;
use super::place::PlaceAndSecret;
use super::signing::token;
use super::user_id::parse_user_id;
use crate::auth::Caller;
use crate::config::Span;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// User that the token is for
    #[arg(
        long,
        value_name = "ID",
        allow_negative_numbers = true,
        required_unless_present = "service",
        value_parser = parse_user_id
    )]
    user_id: Option<i64>,

    /// Create a service token, for the application's backend
    #[arg(long, conflicts_with = "user_id")]
    service: bool,

    /// How long the token is valid
    #[arg(long, value_name = "TIME", default_value = "1h")]
    ttl: Span,

    #[command(flatten)]
    place: PlaceAndSecret,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.place.load()?;
    let caller = arguments.user_id.map_or(Caller::Service, |id| Caller::User(id.into()));
    let token = token(&config, caller, arguments.ttl.0.as_secs())?;
    Ok(print(|out| writeln!(out, "{token}"))?)
}
