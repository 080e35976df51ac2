//! Generates what documents say about options: the table in README.md, and docs/options.md.

use std::fmt::Write as _;

use clap::Arg;

use super::options::{options, variable};

const INTRODUCTION: &str = "\
# Options

<!-- Generated from src/config/settings.rs: WRITE_DOCS=1 cargo test --lib config::reference -->

Every option can be set by a flag of `haversack serve`, by an environment variable, or in the TOML file that `--config` \
names. Flags override variables, and variables override the file. An unknown flag or key stops the server; an unknown \
`HAVERSACK_…` variable causes a warning. Other commands only look at the options that they use. `haversack config` \
shows the effective settings and where each comes from; `haversack config check` says what would go wrong if the \
server started now. [operations.md](operations.md#a-configuration-file) has an example of a file.

- **Sizes** are bytes, or numbers with `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) or `KB`, `MB`, `GB`, `TB` (powers \
of 1000). One letter is binary: `5G` is `5GiB`.
- **Durations** are seconds, or numbers with `s`, `m`, `h`, `d`, `w`, which can be combined: `1d 12h`.
- **Lists** are separated by commas. In the file they can also be lists of strings.
- **Switches** take `yes`, `true`, `on`, `1` or `no`, `false`, `off`, `0`. The flag alone means yes.
";

/// The options that are shown, in the order of the table.
fn shown() -> impl Iterator<Item = Arg> {
    options().into_iter().filter(|option| !option.is_hide_set())
}

/// README's table, one line per option.
pub fn table() -> String {
    let mut text = String::from("| flag | variable | default | what |\n|---|---|---|---|\n");
    for option in shown() {
        let what = option.get_help().map(ToString::to_string).unwrap_or_default();
        let (flag, variable) = (flag(&option), variable(&option));
        let _ = writeln!(text, "| `{flag}` | `{variable}` | {} | {what} |", default(&option));
    }
    text
}

/// docs/options.md, one section per option.
pub fn page() -> String {
    let mut text = String::from(INTRODUCTION);
    let mut heading = String::new();
    for option in shown() {
        let of = option.get_help_heading().unwrap_or_default();
        if of != heading {
            of.clone_into(&mut heading);
            let _ = write!(text, "\n## {heading}\n");
        }
        let names = option.get_value_names().unwrap_or_default();
        let value = names.first().map(ToString::to_string).unwrap_or_default();
        let help = option.get_long_help().map(ToString::to_string).unwrap_or_default();
        let help = help.split("\n\n").filter(|paragraph| !paragraph.starts_with("[env: "));
        let (flag, variable) = (flag(&option), variable(&option));
        let key = match option.get_id().as_str() {
            "config" => String::new(),
            key => format!(", key `{key}`"),
        };
        let _ = write!(
            text,
            "\n### `{flag}`\n\n`{flag}={value}`, variable `{variable}`{key}. Default: {}.\n",
            default(&option)
        );
        for paragraph in help {
            let stop = if paragraph.ends_with('.') { "" } else { "." };
            let _ = write!(text, "\n{paragraph}{stop}\n");
        }
    }
    text
}

fn flag(option: &Arg) -> String {
    format!("--{}", option.get_long().unwrap_or_default())
}

fn default(option: &Arg) -> String {
    match option.get_default_values() {
        [] if option.get_id() == "jwt_secret" => "a random one".into(),
        [] => "none".into(),
        defaults => {
            let texts = defaults.iter().map(|text| format!("`{}`", text.to_string_lossy()));
            texts.collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const BEGIN: &str = "<!-- options: made from src/config/settings.rs -->\n";
    const END: &str = "<!-- /options -->";

    /// Compares a document with what it should be; writes it with `WRITE_DOCS=1`.
    fn expect(name: &str, made: impl Fn(&str) -> String) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let is = std::fs::read_to_string(&path).unwrap_or_default();
        let right = made(&is);
        if std::env::var_os("WRITE_DOCS").is_some() {
            std::fs::write(path, right).unwrap();
            return;
        }
        assert!(
            is == right,
            "{name} does not say what src/config/settings.rs says; write it anew:\n\
             WRITE_DOCS=1 cargo test --lib config::reference"
        );
    }

    #[test]
    fn the_readme_lists_the_options_as_the_table_has_them() {
        expect("README.md", |readme| {
            let (before, rest) = readme.split_once(BEGIN).expect("a place for the table");
            let (_, after) = rest.split_once(END).expect("its end");
            format!("{before}{BEGIN}{}{END}{after}", table())
        });
    }

    #[test]
    fn the_reference_page_is_made_from_the_table() {
        expect("docs/options.md", |_| page());
    }

    #[test]
    fn every_option_has_a_default_a_heading_and_a_meaning() {
        for option in shown() {
            let name = option.get_id().as_str();
            let has_default = !option.get_default_values().is_empty();
            assert!(
                has_default || ["config", "database_url", "jwt_secret"].contains(&name),
                "{name}"
            );
            assert!(option.get_help_heading().is_some(), "{name}");
            assert!(option.get_help().is_some_and(|help| !help.to_string().is_empty()), "{name}");
        }
    }
}
