//! The configuration file: TOML whose keys are the names of options.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use toml::{Spanned, Value};

use super::given::{Given, SetBy};
use super::options::{Parser, Used, nearest};

/// What a file contains.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The options that it sets, as far as the command uses them.
    pub(super) given: Vec<Given>,
    /// What is wrong with the file, one line each.
    pub(super) problems: Vec<String>,
    /// Unknown keys, one line each, if they don't stop the command.
    pub(super) warnings: Vec<String>,
}

/// Reads a file. An unknown key stops the server. Other commands only warn about it, so that they also work with the
/// file of a newer server.
pub(super) fn read(path: &Path, parser: &Parser) -> Contents {
    let told = |what: &dyn fmt::Display| format!("configuration file {}: {what}", path.display());
    let unreadable =
        |what: &dyn fmt::Display| Contents { problems: vec![told(what)], ..Contents::default() };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return unreadable(&error),
    };
    let line = |at: usize| text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
    let entries = match toml::from_str::<BTreeMap<Spanned<String>, Value>>(&text) {
        Ok(entries) => entries,
        // The parser's full message would quote the line, which may contain the secret.
        Err(error) => {
            let line = line(error.span().map_or(0, |span| span.start));
            let what = error.message().replace('\n', " ");
            return unreadable(&format_args!("line {line}: {what}"));
        }
    };
    let mut entries: Vec<_> =
        entries.iter().map(|(key, value)| (line(key.span().start), key.get_ref(), value)).collect();
    entries.sort_by_key(|(line, ..)| *line);
    let mut contents = Contents::default();
    for (line, key, value) in entries {
        let in_line = |what: &str| told(&format_args!("line {line}: {what}"));
        if key == "config" || !parser.knows(key) {
            let unknown = in_line(&unknown(key, parser));
            match parser.used {
                Used::All => contents.problems.push(unknown),
                Used::Only(_) => contents.warnings.push(unknown),
            }
        } else if parser.uses(key) {
            match entry(key, value, parser) {
                Ok(texts) => {
                    let set_by = SetBy::File { path: path.to_owned(), line };
                    contents.given.push(Given { option: key.clone(), texts, set_by });
                }
                Err(what) => contents.problems.push(in_line(&what)),
            }
        }
    }
    contents
}

fn unknown(key: &str, parser: &Parser) -> String {
    let visible = parser.options().filter(|option| !option.is_hide_set());
    let keys = visible.map(|option| option.get_id().as_str()).filter(|key| *key != "config");
    format!("unknown key {key}{}", nearest(key, keys))
}

/// The values that an entry gives to its option.
fn entry(key: &str, value: &Value, parser: &Parser) -> Result<Vec<OsString>, String> {
    let texts = texts(value).ok_or_else(|| {
        format!("{key} must be a string, a number, true or false, or a list of these")
    })?;
    parser.refuses(key, &texts, key).map_or(Ok(texts), Err)
}

/// A value as it would be written on the command line. A list gives several.
fn texts(value: &Value) -> Option<Vec<OsString>> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.into()),
        Value::Integer(number) => Some(number.to_string().into()),
        Value::Float(number) => Some(number.to_string().into()),
        Value::Boolean(is_true) => Some(is_true.to_string().into()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    };
    match value {
        Value::Array(list) if list.is_empty() => Some(vec!["none".into()]),
        Value::Array(list) => list.iter().map(one).collect(),
        value => one(value).map(|text| vec![text]),
    }
}
