//! `haversack config check`: what would go wrong if the server started now. Changes nothing.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use rustix::fs::{Access, access};

use crate::cli::failure::Failure;
use crate::cli::{descriptors, output::print};
use crate::config::{Config, Loaded, Source};
use crate::http::server::Listen;
use crate::storage::disk::Gid;
use crate::{app, space, telemetry};

/// The results of the check.
#[derive(Default)]
struct Findings {
    /// Problems that prevent the server from starting.
    errors: Vec<String>,
    /// Problems that the server would only warn about.
    warnings: Vec<String>,
    /// Remarks about the check itself.
    notes: Vec<String>,
}

impl Findings {
    fn error(&mut self, what: &dyn Display) {
        self.errors.push(what.to_string());
    }

    fn check<E: Display>(&mut self, checked: Result<(), E>) {
        if let Err(error) = checked {
            self.error(&error);
        }
    }
}

pub(super) fn run(source: &Source) -> Result<ExitCode, Failure> {
    let mut found = Findings::default();
    match source.load() {
        Ok(Loaded { config, warnings, .. }) => {
            found.warnings = warnings;
            check_machine(&config, &mut found);
        }
        Err(error) => found.errors = error.problems,
    }
    let Findings { errors, warnings, notes } = found;
    print(|out| {
        errors.iter().try_for_each(|error| writeln!(out, "error: {error}"))?;
        warnings.iter().try_for_each(|warning| writeln!(out, "warning: {warning}"))?;
        notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))?;
        if errors.is_empty() && warnings.is_empty() {
            writeln!(out, "no problems found")?;
        }
        Ok(())
    })?;
    let is_clean = errors.is_empty() && warnings.is_empty();
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks whether this machine has what the server needs.
fn check_machine(config: &Config, found: &mut Findings) {
    found.check(telemetry::check_filter(&config.log));
    match descriptors::affordable(config.max_connections) {
        Ok(affordable) => found.warnings.extend(affordable.warning),
        Err(error) => found.error(&error),
    }
    let in_use = data_directory(&config.data_dir, found);
    secret(config, found);
    if let Some(group) = config.disk.group {
        found.check(may_share_with(group));
    }
    if !in_use {
        // Otherwise the ports belong to the running server.
        found.check(config.listen.try_bind());
        found.check(config.metrics_listen.as_ref().map_or(Ok(()), Listen::try_bind));
    }
    free_space(config, found);
}

/// Checks the data directory. Returns whether a running server uses it.
fn data_directory(dir: &Path, found: &mut Findings) -> bool {
    let failed = |what: &dyn Display| format!("data directory {}: {what}", dir.display());
    if !dir.exists() {
        let above = existing(dir);
        if !above.is_dir() {
            found.error(&failed(&format_args!("{} is not a directory", above.display())));
        } else if let Err(error) = access(above, Access::WRITE_OK | Access::EXEC_OK) {
            found.error(&failed(&format_args!("can't be created in {}: {error}", above.display())));
        }
        return false;
    }
    if !dir.is_dir() {
        found.error(&failed(&"this is not a directory"));
        return false;
    }
    let may = Access::READ_OK | Access::WRITE_OK;
    for (name, needed) in [
        ("", may | Access::EXEC_OK),
        ("blobs", may | Access::EXEC_OK),
        ("haversack.db", may),
        ("haversack.lock", Access::WRITE_OK),
    ] {
        let path = dir.join(name);
        if let Err(error) = access(&path, needed)
            && path.exists()
        {
            found.error(&failed(&format_args!(
                "{} can't be read and written: {error}",
                path.display()
            )));
        }
    }
    match app::is_in_use(dir) {
        Ok(true) => {
            // It may be the one that will be restarted with these settings, so this isn't an error.
            let note = "a server is using it, so whether its addresses are free was not checked";
            found.notes.push(format!("data directory {}: {note}", dir.display()));
            true
        }
        Ok(false) => false,
        Err(error) => {
            found.error(&error);
            true
        }
    }
}

/// Returns the path itself, or its closest ancestor that exists.
fn existing(path: &Path) -> &Path {
    let exists = |path: &&Path| path.exists();
    let here = Path::new(".");
    path.ancestors().filter(|path| !path.as_os_str().is_empty()).find(exists).unwrap_or(here)
}

fn secret(config: &Config, found: &mut Findings) {
    if config.jwt_secret.is_none() && !config.secret_path().exists() {
        return; // the server will create one
    }
    match config.secret() {
        Ok(secret) => found.warnings.extend(secret.weakness().map(str::to_owned)),
        Err(error) => found.error(&error),
    }
}

/// Checks that this user may change the group of files: a user must be a member of the new group, unless it is root
/// (chown(2)).
fn may_share_with(group: Gid) -> Result<(), String> {
    let groups = nix::unistd::getgroups().map_err(|error| format!("--data-group: {error}"))?;
    let is_in = nix::unistd::getegid().as_raw() == group.0
        || groups.iter().any(|gid| gid.as_raw() == group.0);
    if is_in || nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    Err("--data-group: the user that runs the server must be a member of this group".into())
}

fn free_space(config: &Config, found: &mut Findings) {
    let dir = &config.data_dir;
    for path in [dir, &dir.join("blobs")].into_iter().filter(|path| *path == dir || path.exists()) {
        free_space_of(path, config, found);
    }
    found.errors.dedup();
    found.warnings.dedup();
}

fn free_space_of(path: &Path, config: &Config, found: &mut Findings) {
    let Ok(free) = space::free(existing(path)) else { return };
    let dir = config.data_dir.display();
    if let Ok(Some(0)) = space::free_inodes(existing(path)) {
        let free = space::in_words(free);
        let none = format!(
            "data directory {dir}: its disk has no inodes left (df -i), although {free} are free"
        );
        if config.data_dir.exists() {
            found.warnings.push(format!("{none}: uploads would be refused"));
        } else {
            found.error(&none);
        }
    }
    if free < space::LEAST {
        found.error(&format!("data directory {dir}: its disk is full"));
    } else if free < config.disk.min_free {
        let free = space::in_words(free);
        found.warnings.push(format!(
            "data directory {dir}: only {free} are free, which is less than --min-free-space: uploads would be refused"
        ));
    }
}
