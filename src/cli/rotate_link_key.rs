//! `haversack rotate-link-key`.

use clap::Args;

use super::failure::Failure;
use super::output::print;
use super::place::Place;
use crate::config::Span;
use crate::control::{self, Command};
use crate::words;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// How long existing links keep working. Links are valid for at most 48 hours anyway; a shorter time ends some of
    /// them early, and 0 ends all of them now
    #[arg(long, value_name = "TIME", default_value = "48h")]
    accept_old_for: Span,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { accept_old_for, place } = arguments;
    let Span(accept_old_for) = accept_old_for;
    let accept_old_for_secs = accept_old_for.as_secs();
    let config = place.load()?;
    control::carry_out(config, Command::RotateLinkKey { accept_old_for_secs })?;
    let existing = if accept_old_for.is_zero() {
        "no longer work".to_owned()
    } else {
        format!("work for another {}", words::duration(accept_old_for))
    };
    Ok(print(|out| writeln!(out, "links are signed with a new key; existing links {existing}"))?)
}
