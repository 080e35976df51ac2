//! The options of commands other than `serve`: where the server's data and settings are.
//!
//! A command reads only the options that it uses, from flags, variables and the file, as the server does. It ignores
//! invalid values of other options, which the server and `haversack config check` report, because they must not prevent
//! anyone from erasing a user or creating a token.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Config, InForce, Loaded, SetBy, SettingsError, Source, options};
use crate::telemetry;

/// Options that say where the server's data and settings are.
#[derive(Debug)]
pub(super) struct Place(Source);

/// [`Place`], and the address that the server listens on.
#[derive(Debug)]
pub(super) struct PlaceAndAddress(Source);

/// [`Place`], and the secret that signs tokens.
#[derive(Debug)]
pub(super) struct PlaceAndSecret(Source);

impl Place {
    const OPTIONS: &[&str] =
        &["config", "data_dir", "database_url", "database_password_file", "database_ca_file"];
    const DATA_DIR: &[&str] = &["config", "data_dir"];
    /// The options that affect how the stores are opened.
    const OPENING: &[&str] = &[
        "config",
        "data_dir",
        "database_url",
        "database_password_file",
        "database_ca_file",
        "database_connections",
        "jwt_secret",
        "durability",
        "data_group",
        "body_timeout",
    ];

    /// Returns the server's data directory.
    pub(super) fn data_dir(&self) -> Result<PathBuf, SettingsError> {
        load(&self.0, Self::DATA_DIR).map(|config| config.data_dir)
    }

    /// Loads the settings for a command that opens the stores itself if no server is running.
    pub(super) fn load(&self) -> Result<Config, SettingsError> {
        load(&self.0, Self::OPENING)
    }
}

impl PlaceAndAddress {
    const OPTIONS: &[&str] = &["config", "data_dir", "listen"];

    /// Loads the settings for a command that sends a request to the running server over HTTP, and the address if one is
    /// set.
    pub(super) fn load(&self) -> Result<(Config, Option<SocketAddr>), SettingsError> {
        let Loaded { config, values, warnings, .. } = self.0.load_only(Self::OPTIONS)?;
        print_warnings(warnings);
        let is_set = |value: &InForce| value.option == "listen" && value.set_by != SetBy::Default;
        let given = values.iter().any(is_set).then(|| config.listen.first());
        Ok((config, given))
    }
}

impl PlaceAndSecret {
    const OPTIONS: &[&str] = &["config", "data_dir", "jwt_secret"];

    /// Loads the settings for a command that signs tokens.
    pub(super) fn load(&self) -> Result<Config, SettingsError> {
        load(&self.0, Self::OPTIONS)
    }
}

/// Loads these options. Prints a warning for each unknown option, which is probably misspelled.
fn load(source: &Source, used: &'static [&'static str]) -> Result<Config, SettingsError> {
    let Loaded { config, warnings, .. } = source.load_only(used)?;
    print_warnings(warnings);
    Ok(config)
}

fn print_warnings(warnings: Vec<String>) {
    for warning in warnings {
        telemetry::print_diagnostic(&format!("haversack: warning: {warning}"));
    }
}

/// Makes clap arguments of the options in `OPTIONS`.
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
takes_options!(Place, PlaceAndAddress, PlaceAndSecret);
