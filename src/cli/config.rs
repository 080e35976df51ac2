//! `haversack config`: the effective settings, and whether the server would start with them.

mod check;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::output::print;
use crate::config::{InForce, Loaded, SetBy, Source};

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    source: Source,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Report what would go wrong if the server started now, without changing anything. Exit code 0: no problems, 1:
    /// problems found
    Check(Box<Source>),
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.action {
        Some(Action::Check(source)) => check::run(source),
        None => {
            let Loaded { values, warnings, .. } = arguments.source.load()?;
            print(|out| show(out, &values, &warnings))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Prints the settings as a configuration file, each with a comment that says where it comes from.
fn show(out: &mut dyn Write, values: &[InForce], warnings: &[String]) -> io::Result<()> {
    writeln!(
        out,
        "# Effective settings. Flags override variables, and variables override the file."
    )?;
    let lines: Vec<_> = values.iter().map(line).collect();
    let width = lines.iter().map(|(entry, _)| entry.chars().count()).max().unwrap_or_default();
    for (entry, set_by) in lines {
        writeln!(out, "{entry:width$}  # {set_by}")?;
    }
    warnings.iter().try_for_each(|warning| writeln!(out, "# warning: {warning}"))
}

/// Returns a setting's entry in the file, and its comment.
fn line(value: &InForce) -> (String, String) {
    let InForce { option, value, set_by } = value;
    let source = set_by.to_string();
    match value {
        None if option == "config" => (format!("# {option} = …"), "default: no file".into()),
        None if *set_by == SetBy::Default => (
            format!("# {option} = …"),
            "default: created at the first start, kept in the data directory".into(),
        ),
        None => (format!("# {option} = …"), format!("{source}, not shown")),
        // Commented out, because a configuration file can't name itself.
        Some(value) if option == "config" => {
            (format!("# {option} = {}", toml::Value::from(value.as_str())), source)
        }
        Some(value) => {
            let is_plain = value.parse::<u64>().is_ok() || value.parse::<bool>().is_ok();
            let value = if is_plain {
                value.clone()
            } else {
                toml::Value::from(value.as_str()).to_string()
            };
            (format!("{option} = {value}"), source)
        }
    }
}
