//! `haversack rotate-link-key`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::app;
use crate::clock::Clock;
use crate::config::{ConfigError, Settings, Source, Span};
use crate::links::random_secret;
use crate::metadata::sqlite::SqliteStore;
use crate::metadata::{self, MetadataStore};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// How long links of the older keys are still accepted. Links live for at most 48 hours: with less,
    /// some that are in use end early; with 0, all of them now
    #[arg(long, value_name = "TIME", default_value = "48h")]
    accept_old_for: Span,

    /// The server's data directory [default: ./haversack-data]
    #[arg(long, env = "HAVERSACK_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// The server's configuration file
    #[arg(long, env = "HAVERSACK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments) -> Result<(), ConfigError> {
    let settings = Settings { data_dir: arguments.data_dir, ..Settings::default() };
    let dir = Source { config: arguments.config, settings }.load()?.data_dir;
    let failed = |error: &dyn std::fmt::Display| {
        ConfigError(format!("data directory {}: {error}", dir.display()))
    };
    let in_dir = |error: metadata::Error| failed(&error);
    if !dir.join("haversack.db").exists() {
        return Err(failed(&"no server has used it yet"));
    }
    let stopped = app::lock(&dir)?;
    let store = match &stopped {
        Some(_) => SqliteStore::open(&dir),
        None => SqliteStore::open_beside(&dir),
    };
    let now = Clock::system().unix_secs();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| failed(&error))?.block_on(async {
        let store = store.map_err(in_dir)?;
        let until = now.saturating_add(arguments.accept_old_for.0.as_secs());
        store.rotate_link_key(random_secret(), until, now).await.map_err(in_dir)?;
        store.close().await.map_err(in_dir)
    })?;
    let when = if stopped.is_some() { "from its next start" } else { "within a minute" };
    writeln!(std::io::stdout(), "the server signs links with a new key {when}")
        .map_err(|error| ConfigError(error.to_string()))
}
