//! The command line, one file per command.

mod check;
mod config;
mod descriptors;
mod erase;
mod failure;
mod fsck;
mod health;
mod jobs;
mod log_level;
mod migrate;
mod output;
mod page_link;
mod place;
mod rotate_link_key;
mod serve;
mod signing;
mod started;
mod status;
mod token;
mod user_id;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use failure::Failure;

use crate::config::{Source, suggestion};

/// Self-hosted server for the media of private messages.
///
/// Clients upload files in chunks and get signed links to them. Start with: haversack serve. It needs no
/// configuration, and keeps records and files in ./haversack-data.
#[derive(Debug, Parser)]
#[command(name = "haversack", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_SERVE: &str = "\
Sizes are bytes or KiB, MiB, GiB (KB, MB, GB are powers of 1000; 5G is 5GiB). Times are seconds or s, m, h, d, w.
Each option can also be set by a variable, such as HAVERSACK_MAX_FILE_SIZE, or in the configuration file, such as
max_file_size. Flags override variables, and variables override the file. `haversack config` shows the result.

Examples:
  haversack serve
  haversack serve --listen 0.0.0.0:8080 --data-dir /var/lib/haversack
  HAVERSACK_MAX_FILE_SIZE=50MiB haversack serve --config /etc/haversack.toml";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    #[command(after_long_help = AFTER_SERVE)]
    Serve(Box<Source>),
    /// Show the effective settings and where each comes from, or check them
    Config(Box<config::Arguments>),
    /// Check that the database of --database-url can keep the records; says what is missing, and how to grant it
    #[command(after_help = "Exit code 0: it can, 1: something is missing.")]
    Check(Box<check::Arguments>),
    /// Copy the records from the data directory into a PostgreSQL database; files stay where they are
    Migrate(Box<migrate::Arguments>),
    /// Print an access token for a user or for the application's backend
    Token(Box<token::Arguments>),
    /// Sign links with a new key; existing links keep working for a while
    RotateLinkKey(Box<rotate_link_key::Arguments>),
    /// Check that records and stored files agree; --repair fixes what can be fixed
    #[command(after_help = "Exit code 0: they agree, 1: they don't, 2: the check failed.")]
    Fsck(Box<fsck::Arguments>),
    /// Remove everything that belongs to a user: uploads, thumbnails and files, even files attached to messages
    Erase(Box<erase::Arguments>),
    /// List background jobs (thumbnails, deletions, recovery, expiry), or retry those that failed
    #[command(after_help = jobs::KINDS)]
    Jobs(Box<jobs::Arguments>),
    /// Show the state of the running server: version, requests in flight, disks, jobs, recent errors
    Status(Box<status::Arguments>),
    /// Check whether the running server accepts uploads. Exit code 0: it does, 1: it doesn't, or doesn't answer
    Health(Box<health::Arguments>),
    /// Change what the running server logs until it restarts
    LogLevel(Box<log_level::Arguments>),
    /// Print a link that opens the server's page for 12 hours
    PageLink(Box<page_link::Arguments>),
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            Command::Fsck(arguments) => return Ok(fsck::run(&arguments)),
            Command::Config(arguments) => return config::run(&arguments),
            Command::Check(arguments) => return check::run(&arguments),
            Command::Migrate(arguments) => migrate::run(&arguments),
            Command::Erase(arguments) => erase::run(*arguments),
            Command::Jobs(arguments) => jobs::run(*arguments),
            Command::Serve(source) => serve::run(&source),
            Command::Token(arguments) => token::run(&arguments),
            Command::RotateLinkKey(arguments) => rotate_link_key::run(*arguments),
            Command::Status(arguments) => status::run(&arguments),
            Command::Health(arguments) => health::run(&arguments),
            Command::LogLevel(arguments) => log_level::run(*arguments),
            Command::PageLink(arguments) => page_link::run(*arguments),
        }
        .map(|()| ExitCode::SUCCESS)
    }
}

/// Formats an error in the command line as one line.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let what = text.split("\n\n").next().unwrap_or_default();
    let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
    let what = what.strip_prefix("error: ").unwrap_or(&what);
    format!("{what}{} (see --help)", suggestion(error))
}
