//! What every command beside the server takes: where the server's data and settings are found.
//!
//! A command uses some options of the table, and only those: a wrong value of another one is the server's business
//! (`haversack config check`), and keeps nobody from erasing a user or making a token. Variables and the file count
//! for it as they do for the server.

use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Config, Loaded, SettingsError, Source, options};
use crate::telemetry;

/// The options that say where the server's data and settings are.
#[derive(Debug)]
pub(super) struct Place(Source);

/// The same, and the secret.
#[derive(Debug)]
pub(super) struct Signing(Source);

impl Place {
    const OPTIONS: &[&str] = &["config", "data_dir"];
    /// What it takes to open the records and the files as the server does.
    const OPENING: &[&str] =
        &["config", "data_dir", "jwt_secret", "durability", "data_group", "body_timeout"];

    /// The server's data directory.
    pub(super) fn data_dir(&self) -> Result<PathBuf, SettingsError> {
        load(&self.0, Self::OPTIONS).map(|config| config.data_dir)
    }

    /// The settings for a command that opens records and files itself while no server runs.
    pub(super) fn load(&self) -> Result<Config, SettingsError> {
        load(&self.0, Self::OPENING)
    }
}

impl Signing {
    const OPTIONS: &[&str] = &["config", "data_dir", "jwt_secret"];

    /// The settings for a command that signs.
    pub(super) fn load(&self) -> Result<Config, SettingsError> {
        load(&self.0, Self::OPTIONS)
    }
}

/// Loads these options. Names that are no option's, misspelled most likely, are warned about on standard error.
fn load(source: &Source, used: &'static [&'static str]) -> Result<Config, SettingsError> {
    let Loaded { config, warnings, .. } = source.load_only(used)?;
    for warning in warnings {
        telemetry::complain(&format!("haversack: warning: {warning}"));
    }
    Ok(config)
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
