//! The command line: one file a command.

mod config;
mod descriptors;
mod erase;
mod failure;
mod fsck;
mod jobs;
mod output;
mod page_link;
mod place;
mod rotate_link_key;
mod serve;
mod signing;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use failure::Failure;

use crate::config::{Source, suggestion};

/// Self-hosted server for the media of private messages.
///
/// Clients cut a file into chunks and POST them to /api/v2/pm/upload/, call ?done, and get a link that
/// plays. `haversack serve` starts with no configuration: records and files go to ./haversack-data.
#[derive(Debug, Parser)]
#[command(name = "haversack", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_SERVE: &str = "\
Sizes are bytes or KiB, MiB, GiB (5G is 5GiB; KB, MB, GB are powers of 1000); times are seconds or s, m, h, d, w.
Each option is also a variable, such as HAVERSACK_MAX_FILE_SIZE, and a key of the file, such as max_file_size. A flag
wins over its variable, which wins over the file. `haversack config` prints what is in force.

Examples:
  haversack serve
  haversack serve --listen 0.0.0.0:8080 --data-dir /var/lib/haversack
  HAVERSACK_MAX_FILE_SIZE=50MiB haversack serve --config /etc/haversack.toml";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    #[command(after_long_help = AFTER_SERVE)]
    Serve(Box<Source>),
    /// Print the settings in force and where each comes from, or check them
    Config(Box<config::Arguments>),
    /// Print an access token for a user (or a service token), signed with the server's secret
    Token(Box<token::Arguments>),
    /// Sign links with a new key; links of the older ones go on for a while
    RotateLinkKey(Box<rotate_link_key::Arguments>),
    /// Compare records and stored bytes; changes nothing without --repair. Exit code 0: they agree, 1: they don't,
    /// 2: nobody could look
    Fsck(Box<fsck::Arguments>),
    /// Remove everything of a person: files, also those shown in messages, thumbnails, unfinished uploads
    Erase(Box<erase::Arguments>),
    /// List what the server still has to do beside requests, or have failed jobs tried again
    Jobs(Box<jobs::Arguments>),
    /// Print a link that opens the server's page for 12 hours
    PageLink(Box<page_link::Arguments>),
}

impl Cli {
    /// Does what the command line asks for.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            Command::Fsck(arguments) => return Ok(fsck::run(&arguments)),
            Command::Config(arguments) => return config::run(&arguments),
            Command::Erase(arguments) => erase::run(*arguments),
            Command::Jobs(arguments) => jobs::run(*arguments),
            Command::Serve(source) => serve::run(&source),
            Command::Token(arguments) => token::run(&arguments),
            Command::RotateLinkKey(arguments) => rotate_link_key::run(*arguments),
            Command::PageLink(arguments) => page_link::run(*arguments),
        }
        .map(|()| ExitCode::SUCCESS)
    }
}

/// What is wrong with a command line, in one line.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let what = text.split("\n\n").next().unwrap_or_default();
    let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
    let what = what.strip_prefix("error: ").unwrap_or(&what);
    format!("{what}{} (see --help)", suggestion(error))
}
