//! The configuration file: TOML whose keys are options.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use toml::{Spanned, Value};

use super::given::{Given, SetBy};
use super::options::{Parser, nearest};

/// What a file sets, and what is wrong with it, each in a line.
pub(super) fn read(path: &Path, parser: &Parser) -> (Vec<Given>, Vec<String>) {
    let problem =
        |what: &dyn std::fmt::Display| format!("configuration file {}: {what}", path.display());
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return (Vec::new(), vec![problem(&error)]),
    };
    let line = |at: usize| text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
    let entries = match toml::from_str::<BTreeMap<Spanned<String>, Value>>(&text) {
        Ok(entries) => entries,
        // The parser's whole report would quote the line, which may hold the secret.
        Err(error) => {
            let line = line(error.span().map_or(0, |span| span.start));
            let what = error.message().replace('\n', " ");
            return (Vec::new(), vec![problem(&format_args!("line {line}: {what}"))]);
        }
    };
    let (mut given, mut problems) = (Vec::new(), Vec::new());
    for (key, value) in &entries {
        let line = line(key.span().start);
        match entry(key.get_ref(), value, parser) {
            Ok(texts) => {
                let set_by = SetBy::File { path: path.to_owned(), line };
                given.push(Given { option: key.get_ref().clone(), texts, set_by });
            }
            Err(what) => problems.push((line, what)),
        }
    }
    problems.sort();
    let problems =
        problems.iter().map(|(line, what)| problem(&format_args!("line {line}: {what}")));
    (given, problems.collect())
}

/// The texts that an entry gives to its option.
fn entry(key: &str, value: &Value, parser: &Parser) -> Result<Vec<OsString>, String> {
    if key == "config" || parser.option(key).is_none() {
        let visible = parser.options().filter(|option| !option.is_hide_set());
        let keys = visible.map(|option| option.get_id().as_str()).filter(|key| *key != "config");
        return Err(format!("unknown key {key}{}", nearest(key, keys)));
    }
    let texts = texts(value).ok_or_else(|| {
        format!("{key} must be a text, a number, true or false, or a list of these")
    })?;
    parser.refuses(key, &texts, key).map_or(Ok(texts), Err)
}

/// A value as it would be written on the command line; a list gives several.
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
