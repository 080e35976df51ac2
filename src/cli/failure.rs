//! Failures of commands.

use crate::config::{ConfigError, SettingsError};

/// Why a command failed, as one line.
#[derive(Debug)]
pub enum Failure {
    /// The command line or a setting can't be used.
    Usage(String),
    /// Any other failure.
    Failed(String),
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Usage(what) | Self::Failed(what)) = self;
        f.write_str(what)
    }
}
