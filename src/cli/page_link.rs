//! `haversack page-link`.

use clap::Args;

use super::failure::Failure;
use super::output::print;
use super::place::Place;
use super::user_id::parse_user_id;
use crate::control::{self, Command};
use crate::http::options::PublicUrl;
use crate::page_link::DEFAULT_USER;

#[derive(Args, Debug)]
#[allow(rustdoc::bare_urls, clippy::doc_markdown)] // clap prints these comments verbatim
pub(super) struct Arguments {
    /// User whose files the page shows
    #[arg(
        long,
        value_name = "ID",
        allow_negative_numbers = true,
        default_value_t = DEFAULT_USER,
        value_parser = parse_user_id
    )]
    user_id: i64,

    /// Address of the server, such as https://media.example.org [default: its --public-url, or else the address it
    /// listens on]
    #[arg(long, value_name = "URL")]
    url: Option<PublicUrl>,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { user_id, url, place } = arguments;
    let data_dir = place.data_dir()?;
    let link = control::ask_server(&data_dir, &Command::PageLink { user_id, url })?;
    Ok(print(|out| writeln!(out, "{}", link.as_str().unwrap_or_default()))?)
}
