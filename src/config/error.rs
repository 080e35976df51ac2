//! What is wrong with the settings.

/// A setting that can't be used; one line for the person who set it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);
