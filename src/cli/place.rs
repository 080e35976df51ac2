//! What every command beside the server takes: where the server's data and settings are found.

use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Config, SettingsError, Source, options};

/// The options of the table that say where the server's data and settings are; its variables and its file count as
/// they do for the server.
#[derive(Debug)]
pub(super) struct Place(Source);

/// The same, and the secret.
#[derive(Debug)]
pub(super) struct Signing(Source);

impl Place {
    const OPTIONS: &[&str] = &["config", "data_dir"];

    /// The server's configuration as far as it can be known here.
    pub(super) fn load(&self) -> Result<Config, SettingsError> {
        self.0.load().map(|loaded| loaded.config)
    }
}

impl Signing {
    const OPTIONS: &[&str] = &["config", "data_dir", "jwt_secret"];

    /// The server's configuration as far as it can be known here.
    pub(super) fn load(&self) -> Result<Config, SettingsError> {
        self.0.load().map(|loaded| loaded.config)
    }
}

/// Lets a command take some options of the table.
macro_rules! takes_options {
    ($($name:ident),*) => {
        $(impl Args for $name {
            fn augment_args(command: Command) -> Command {
                let named = |option: &clap::Arg| Self::OPTIONS.contains(&option.get_id().as_str());
                command.args(options().into_iter().filter(named))
            }

            fn augment_args_for_update(command: Command) -> Command {
                Self::augment_args(command)
            }
        }

        impl FromArgMatches for $name {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                Source::from_arg_matches(matches).map(Self)
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                self.0.update_from_arg_matches(matches)
            }
        })*
    };
}
takes_options!(Place, Signing);
