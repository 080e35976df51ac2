//! `haversack erase`.

use clap::Args;

use super::failure::Failure;
use super::output::print;
use super::place::Place;
use super::user_id::parse_user_id;
use crate::config::ConfigError;
use crate::control::{self, Command};
use crate::uploads::Erased;
use crate::words::{self, counted};

/// The end of the report.
const PROMISE: &str = "\
Only the uuids are kept, so that they can't be used again. The database was rewritten without everything else, and
its log was emptied: no file in the data directory contains a name, user id, size, time or byte of this user.
Not erased: backups, snapshots and copies; logs of this server and of proxies, which contain uuids; caches of
people who had a link (the links themselves no longer work); and remnants of deleted files on the disk (SSDs, file
systems with a journal or copy-on-write), against which only disk encryption protects.
Bytes of a request that was interrupted by a crash have no owner on record; the server deletes them within hours.";

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// User to erase
    #[arg(long, value_name = "ID", allow_negative_numbers = true, value_parser = parse_user_id)]
    user_id: i64,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { user_id, json, place } = arguments;
    let config = place.load()?;
    let done = control::carry_out(config, Command::Erase { user_id })?;
    if json {
        return Ok(print(|out| writeln!(out, "{done}"))?);
    }
    let erased: Erased =
        serde_json::from_value(done).map_err(|error| ConfigError(error.to_string()))?;
    let files = counted(erased.files, "file");
    let thumbnails = counted(erased.thumbnails, "thumbnail");
    let unfinished = counted(erased.unfinished, "unfinished upload");
    let bytes = words::bytes(erased.bytes);
    Ok(print(|out| {
        writeln!(
            out,
            "user {user_id}: removed {files} with {thumbnails} and {unfinished}, {bytes}\n{PROMISE}"
        )
    })?)
}
