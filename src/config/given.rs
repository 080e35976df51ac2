//! Who sets an option, and to what.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// What one source says of an option.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) option: String,
    /// Several only for options that take a list.
    pub(super) texts: Vec<OsString>,
    pub(super) set_by: SetBy,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetBy {
    /// The command line.
    Flag,
    /// An environment variable, of this name.
    Variable(String),
    /// The configuration file.
    #[allow(missing_docs)]
    File { path: PathBuf, line: usize },
    /// Nobody.
    Default,
}

impl SetBy {
    /// What to change in order to change an option.
    pub(super) fn name(&self, option: &str) -> String {
        match self {
            Self::Variable(name) => name.clone(),
            Self::File { path, line } => format!("{option} ({}, line {line})", path.display()),
            Self::Flag | Self::Default => format!("--{}", option.replace('_', "-")),
        }
    }
}

impl fmt::Display for SetBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File { path, line } => write!(f, "file {}, line {line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}
