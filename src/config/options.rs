//! The table of options as clap arguments: their names, and which values they accept.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Args, Command};

use super::Settings;

/// Every option of the table, in order. The help of each names its variable.
pub(crate) fn options() -> Vec<Arg> {
    let command = Settings::augment_args(Command::new("haversack"));
    command.get_arguments().map(|option| with_variable(option.clone())).collect()
}

/// Prefix of all variables.
pub(super) const PREFIX: &str = "HAVERSACK_";

/// Name of the variable that sets an option.
pub(super) fn variable(option: &Arg) -> String {
    format!("{PREFIX}{}", option.get_id().as_str().to_uppercase())
}

fn with_variable(option: Arg) -> Arg {
    let text = option.get_long_help().or(option.get_help()).map(StyledStr::to_string);
    let help = format!("{}\n\n[env: {}]", text.unwrap_or_default(), variable(&option));
    option.long_help(help)
}

/// The options that a command uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Used {
    /// Every option, as the server does.
    All,
    /// These.
    Only(&'static [&'static str]),
}

/// Parses the values of options, whichever source gives them.
#[derive(Debug)]
pub(super) struct Parser {
    table: Command,
    pub(super) used: Used,
}

impl Parser {
    pub(super) fn new(used: Used) -> Self {
        let command = Command::new("haversack").no_binary_name(true).disable_help_flag(true);
        Self { table: Settings::augment_args(command), used }
    }

    /// Whether there is an option of this name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.table.get_arguments().any(|option| option.get_id() == name)
    }

    /// Whether the command uses this option.
    pub(super) fn uses(&self, name: &str) -> bool {
        match self.used {
            Used::All => true,
            Used::Only(names) => names.contains(&name),
        }
    }

    /// Every option of the table.
    pub(super) fn options(&self) -> impl Iterator<Item = &Arg> {
        self.table.get_arguments()
    }

    /// Parses `--option=text` for each of them.
    pub(super) fn parse<'a>(
        &self,
        given: impl IntoIterator<Item = (&'a str, &'a [OsString])>,
    ) -> Result<ArgMatches, clap::Error> {
        let arguments = given.into_iter().flat_map(|(option, texts)| {
            let flag = format!("--{}=", option.replace('_', "-"));
            texts.iter().map(move |text| {
                let mut argument = OsString::from(&flag);
                argument.push(text);
                argument
            })
        });
        self.table.clone().try_get_matches_from(arguments)
    }

    /// Why these can't be the value of an option, or `None` if they can. The message calls the option `name`.
    pub(super) fn refuses(&self, option: &str, texts: &[OsString], name: &str) -> Option<String> {
        let error = self.parse([(option, texts)]).err()?;
        let value = match error.get(ContextKind::InvalidValue) {
            Some(ContextValue::String(value)) => value.as_str(),
            _ => "",
        };
        Some(format!("invalid value '{value}' for {name}: {}", reason(&error)))
    }
}

/// What is wrong with a value, without the option's name.
fn reason(error: &clap::Error) -> String {
    if let Some(source) = std::error::Error::source(error) {
        return source.to_string();
    }
    match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(valid))) if valid.is_empty() => {
            "it must not be empty".into()
        }
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(valid))) => {
            format!("it must be one of {}{}", valid.join(", "), suggestion(error))
        }
        (ErrorKind::ArgumentConflict, _) => "it takes one value".into(),
        _ => error.kind().to_string(),
    }
}

/// clap's suggestion: `; did you mean '--page'?`, or nothing.
pub(crate) fn suggestion(error: &clap::Error) -> String {
    let kinds =
        [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    let meant = kinds.iter().find_map(|kind| match error.get(*kind) {
        Some(ContextValue::String(name)) => Some(name.as_str()),
        Some(ContextValue::Strings(names)) => names.last().map(String::as_str),
        _ => None,
    });
    meant.map(|name| format!("; did you mean '{name}'?")).unwrap_or_default()
}

/// The known name closest to an unknown one: `; did you mean x?`, or nothing if none is close.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    // The measure and threshold of clap. The prefix, which all variables share, would make all of them close.
    fn bare(name: &str) -> &str {
        name.strip_prefix(PREFIX).unwrap_or(name)
    }
    let likeness = |known: &str| strsim::jaro(bare(name), bare(known));
    known
        .filter(|known| likeness(known) > 0.7)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .map(|known| format!("; did you mean {known}?"))
        .unwrap_or_default()
}
