//! Errors in settings, and failures of commands.

/// Why a command fails: one line for the person who ran it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// Invalid settings. Displayed as one line: the first problem, and how to see the others.
#[derive(Debug)]
pub struct SettingsError {
    /// The problems, one line each; at least one.
    pub problems: Vec<String>,
}

impl std::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, more) = self
            .problems
            .split_first()
            .map_or(("", 0), |(first, more)| (first.as_str(), more.len()));
        f.write_str(first)?;
        match more {
            0 => Ok(()),
            more => write!(f, " (and {more} more: `haversack config check` lists all)"),
        }
    }
}

impl std::error::Error for SettingsError {}
