//! A value given to an option, and where it was given.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// The value that one source gives to an option.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) option: String,
    /// More than one only for options that take a list.
    pub(super) texts: Vec<OsString>,
    pub(super) set_by: SetBy,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetBy {
    /// A flag.
    Flag,
    /// The environment variable of this name.
    Variable(String),
    /// The configuration file.
    #[allow(missing_docs)]
    File { path: PathBuf, line: usize },
    /// Nothing: it is the default.
    Default,
}

impl SetBy {
    /// The name to show for the option: that of what set it.
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
