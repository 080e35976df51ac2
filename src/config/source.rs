//! Where settings come from: flags override variables, which override the file, which overrides the defaults.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::error::SettingsError;
use super::file::{self, Contents};
use super::given::{Given, SetBy};
use super::options::{PREFIX, Parser, Used, nearest, options, variable};
use super::units::{ByteSize, Span, has_bare_prefix};
use super::values::{OrNone, Secret};
use super::{Config, Settings, trial};

/// The flags that were given. Variables and the file are read when the settings are loaded.
#[derive(Clone, Debug, Default)]
pub struct Source {
    flags: Vec<Given>,
}

/// The effective settings, and how they came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Each option with its value, in the order of the table.
    pub values: Vec<InForce>,
    /// What may be a mistake although the settings are valid, one line each.
    pub warnings: Vec<String>,
    /// How ambiguous settings were understood, one line each.
    pub notes: Vec<String>,
}

/// The effective value of an option.
#[derive(Clone, Debug)]
pub struct InForce {
    /// Its name, as in the configuration file.
    pub option: String,
    /// The value; `None` for a secret, and where there is none.
    pub value: Option<String>,
    /// Where it comes from.
    pub set_by: SetBy,
}

impl Args for Source {
    fn augment_args(command: Command) -> Command {
        command.args(options())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Source {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags = options().into_iter().filter_map(|option| {
            let name = option.get_id().as_str();
            let texts = matches.try_get_raw(name).ok()??.map(OsStr::to_owned).collect();
            let is_flag = matches.value_source(name) == Some(ValueSource::CommandLine);
            is_flag.then(|| Given { option: name.to_owned(), texts, set_by: SetBy::Flag })
        });
        Ok(Self { flags: flags.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Source {
    /// The flag `--config` alone.
    pub fn of_file(path: &Path) -> Self {
        let flag = Given { option: "config".into(), texts: vec![path.into()], set_by: SetBy::Flag };
        Self { flags: vec![flag] }
    }

    /// Reads variables and the file, and combines them with the flags.
    pub fn load(&self) -> Result<Loaded, SettingsError> {
        self.load_for(Used::All)
    }

    /// The same for a command that uses only these options. All others have their defaults, whatever is set.
    pub fn load_only(&self, used: &'static [&'static str]) -> Result<Loaded, SettingsError> {
        self.load_for(Used::Only(used))
    }

    fn load_for(&self, used: Used) -> Result<Loaded, SettingsError> {
        let parser = Parser::new(used);
        let Contents { given, mut problems, mut warnings } = self.given(&parser);
        if !problems.is_empty() {
            return Err(SettingsError { problems });
        }
        let failed = |error: clap::Error| SettingsError { problems: vec![error.to_string()] };
        let texts = given.iter().map(|given| (given.option.as_str(), given.texts.as_slice()));
        let matches = parser.parse(texts).map_err(failed)?;
        let settings = Settings::from_arg_matches(&matches).map_err(failed)?;
        let config = match Config::new(settings) {
            Ok(config) => config,
            Err(error) => {
                problems.push(error.to_string());
                return Err(SettingsError { problems });
            }
        };
        let of = |name: &str| given.iter().find(|given| given.option == name);
        let visible = parser.options().filter(|option| !option.is_hide_set());
        let values = visible.map(|option| {
            let name = option.get_id().as_str();
            let set_by = of(name).map_or(SetBy::Default, |given| given.set_by.clone());
            InForce { option: name.to_owned(), value: shown(&matches, name), set_by }
        });
        let values = values.collect();
        let hidden = parser.options().filter(|option| option.is_hide_set());
        let dropped = hidden.filter(|option| of(option.get_id().as_str()).is_some());
        warnings.extend(dropped.map(no_effect));
        warnings.extend(unknown_variables(&parser));
        let notes = given.iter().filter_map(|given| note(given, &matches)).collect();
        Ok(Loaded { config, values, warnings, notes })
    }

    /// The value of each option that is set, from the source that takes precedence, and what is wrong with them.
    fn given(&self, parser: &Parser) -> Contents {
        let (mut given, mut problems) = (self.flags.clone(), Vec::new());
        for option in parser.options() {
            let name = option.get_id().as_str();
            let variable = variable(option);
            let Some(text) = std::env::var_os(&variable) else { continue };
            if !parser.uses(name) || given.iter().any(|given| given.option == name) {
                continue;
            }
            let texts = vec![text];
            problems.extend(parser.refuses(name, &texts, &variable));
            given.push(Given { option: name.into(), texts, set_by: SetBy::Variable(variable) });
        }
        let path = given.iter().find(|given| given.option == "config");
        let path = path.and_then(|given| given.texts.first());
        let mut file = path.map(|path| file::read(Path::new(path), parser)).unwrap_or_default();
        file.given.retain(|entry| !given.iter().any(|given| given.option == entry.option));
        given.append(&mut file.given);
        problems.append(&mut file.problems);
        Contents { given, problems, warnings: file.warnings }
    }
}

/// Warnings about variables that no option has: they are probably misspelled.
fn unknown_variables(parser: &Parser) -> Vec<String> {
    let known: Vec<String> = parser.options().map(variable).collect();
    let ours = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut unknown: Vec<String> = ours
        .filter(|name| name.starts_with(PREFIX) && !known.contains(name))
        .filter(|name| !trial::VARIABLES.contains(&name.as_str()))
        .collect();
    unknown.sort();
    let visible: Vec<String> =
        parser.options().filter(|option| !option.is_hide_set()).map(variable).collect();
    let warning = |name: &String| {
        let meant = nearest(name, visible.iter().map(String::as_str));
        format!("unknown variable {name}{meant}")
    };
    unknown.iter().map(warning).collect()
}

fn no_effect(option: &clap::Arg) -> String {
    let flag = option.get_long().unwrap_or_default();
    format!("--{flag} no longer has any effect: requests are limited by how many run at once")
}

/// How a size with a one-letter unit was understood.
fn note(given: &Given, matches: &ArgMatches) -> Option<String> {
    let text = given.texts.first()?.to_str()?;
    let size = display::<ByteSize>(matches, &given.option)
        .or_else(|| display::<OrNone<ByteSize>>(matches, &given.option))?;
    let name = given.set_by.name(&given.option);
    has_bare_prefix(text).then(|| {
        format!(
            "{name}: {text} is {size}; powers of 1000 end in B: {}B",
            text.trim().to_uppercase()
        )
    })
}

/// A value as it can be set; `None` for a secret.
fn shown(matches: &ArgMatches, option: &str) -> Option<String> {
    if matches.try_get_one::<Secret>(option).is_ok() {
        return None;
    }
    // Sizes and times can be written in several ways; other values are shown as they were given.
    display::<ByteSize>(matches, option)
        .or_else(|| display::<OrNone<ByteSize>>(matches, option))
        .or_else(|| display::<Span>(matches, option))
        .or_else(|| display::<OrNone<Span>>(matches, option))
        .or_else(|| {
            let texts = matches.get_raw(option).unwrap_or_default();
            let texts = texts.map(|text| text.to_string_lossy().into_owned());
            Some(texts.collect::<Vec<_>>().join(","))
        })
}

fn display<T>(matches: &ArgMatches, option: &str) -> Option<String>
where
    T: fmt::Display + Clone + Send + Sync + 'static,
{
    matches.try_get_one::<T>(option).ok().flatten().map(T::to_string)
}
