//! `haversack migrate`: moves the records from the data directory into a PostgreSQL database.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::output::print;
use super::place::Place;
use crate::app;
use crate::config::{ConfigError, Secret, database_at};
use crate::metadata::postgres::{self, Progress};
use crate::telemetry::{chain, print_diagnostic};
use crate::words::counted;

const IN_USE: &str = "a server is using it; stop that server first";

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// URL of the PostgreSQL database, which must be empty or contain the result of an interrupted run
    /// [default: the value of --database-url]
    #[arg(long, value_name = "URL")]
    to_database_url: Option<Secret>,

    /// File with the password of the database user
    #[arg(long, value_name = "FILE")]
    to_database_password_file: Option<PathBuf>,

    /// File with the certificates (PEM) of the CAs that may sign the database server's certificate
    #[arg(long, value_name = "FILE")]
    to_database_ca_file: Option<PathBuf>,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let dir = arguments.place.data_dir()?;
    let failed = |error: &dyn std::fmt::Display| app::data_dir_error(&dir, error);
    if !dir.join("haversack.db").exists() {
        return Err(failed(&"it contains no records (haversack.db)").into());
    }
    let _lock = app::lock(&dir)?.ok_or_else(|| failed(&IN_USE))?;
    let options = match &arguments.to_database_url {
        Some(url) => database_at(
            url,
            arguments.to_database_password_file.as_deref(),
            arguments.to_database_ca_file.as_deref(),
        )?,
        None => arguments.place.load()?.database.ok_or_else(|| {
            Failure::Usage(
                "the target database is missing: set --to-database-url or --database-url".into(),
            )
        })?,
    };
    let runtime = tokio::runtime::Runtime::new().map_err(|error| failed(&error))?;
    let imported = runtime
        .block_on(postgres::import(&dir, &options, &ProgressBar))
        .map_err(|error| ConfigError(chain(&error)))?;
    // Renamed so that no server starts with the old records, and so that the next start with the database isn't
    // refused.
    for name in ["haversack.db", "haversack.db-wal", "haversack.db-shm"] {
        match std::fs::rename(dir.join(name), dir.join(format!("migrated-{name}"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(&error).into());
            }
            _ => {}
        }
    }
    print(|out| {
        for (table, rows) in &imported.rows {
            writeln!(out, "{table}: {}", counted(*rows, "row"))?;
        }
        writeln!(
            out,
            "all records were copied and verified; start the server with HAVERSACK_DATABASE_URL now. The old records are \
             in migrated-haversack.db"
        )
    })?;
    Ok(())
}

/// Prints the progress on standard error.
struct ProgressBar;

impl Progress for ProgressBar {
    fn copied(&self, rows: u64, of: u64) {
        let tenths = (rows * 1000).checked_div(of).unwrap_or(1000);
        let text = format!("{:>3}.{} %  {rows} of {of} rows", tenths / 10, tenths % 10);
        if std::io::stderr().is_terminal() {
            let width = usize::try_from(tenths / 25).unwrap_or(40);
            eprint!("\r[{:<40}] {text}", "#".repeat(width));
            if rows == of {
                eprintln!();
            }
        } else {
            print_diagnostic(&text);
        }
    }
}
