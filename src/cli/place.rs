//! What every command beside the server takes: where the server's data and settings are found.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, ConfigError, Settings, Source};

#[derive(Args, Debug)]
pub(super) struct Place {
    /// The server's data directory [default: ./haversack-data]
    #[arg(long, env = "HAVERSACK_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// The server's configuration file
    #[arg(long, env = "HAVERSACK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    /// The server's configuration as far as these arguments and `settings` tell.
    pub(super) fn load(self, settings: Settings) -> Result<Config, ConfigError> {
        let settings = Settings { data_dir: self.data_dir, ..settings };
        Source { config: self.config, settings }.load()
    }
}
