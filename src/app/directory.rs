//! The data directory and its lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::config::ConfigError;
use crate::space;

/// The file with the name under which the server of this data directory holds leases, if its records are in a database.
pub(super) const NODE: &str = "node-id";

pub(super) const FULL: &str = " (its disk is full: free some space, then start again)";

pub(super) fn is_full(dir: &Path) -> bool {
    space::free(dir).is_ok_and(|free| free < space::LEAST)
}

pub(super) const LOCK: &str = "haversack.lock";
pub(super) const IN_USE: &str = "another haversack process is using it; stop that process first";
const UNUSED: &str = "no server has used it yet; use --data-dir to choose another one";
const NO_PERMISSION: &str = "permission denied: run this as the user that runs the server";

/// Whether another process is using this data directory. Creates nothing.
pub fn is_in_use(dir: &Path) -> Result<bool, ConfigError> {
    Ok(dir.join(LOCK).exists() && lock(dir)?.is_none())
}

/// Returns an error if another process is using this data directory. Creates nothing.
pub fn refuse_if_in_use(dir: &Path) -> Result<(), ConfigError> {
    if is_in_use(dir)? { Err(data_dir_error(dir, &IN_USE)) } else { Ok(()) }
}

/// Returns an error if no server has used this data directory yet. Creates nothing.
pub fn refuse_if_unused(dir: &Path) -> Result<(), ConfigError> {
    match dir.join("haversack.db").try_exists() {
        Ok(true) => Ok(()),
        Ok(false) if dir.join(NODE).exists() => Ok(()), // its records are in a database
        Ok(false) => Err(data_dir_error(dir, &UNUSED)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(data_dir_error(dir, &NO_PERMISSION))
        }
        Err(error) => Err(data_dir_error(dir, &error)),
    }
}

/// Creates an error that names this data directory.
pub fn data_dir_error(dir: &Path, error: &dyn std::fmt::Display) -> ConfigError {
    ConfigError(format!("data directory {}: {error}", dir.display()))
}

/// The lock of a data directory, released when this is dropped.
pub struct Lock(pub(super) File);

impl Drop for Lock {
    /// A process that is just being started has a copy of the open file until it runs its own program, so closing the
    /// file here isn't enough: the lock would be held until then (flock(2)).
    fn drop(&mut self) {
        let _ = self.0.unlock(); // if this fails, closing the file releases the lock
    }
}

/// Takes the data directory's lock. Returns `None` if another process holds it.
pub fn lock(dir: &Path) -> Result<Option<Lock>, ConfigError> {
    let path = dir.join(LOCK);
    let failed = |error: std::io::Error| ConfigError(format!("{}: {error}", path.display()));
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_lock_is_free_although_a_starting_process_has_a_copy_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap().unwrap();
        let _copy = held.0.try_clone().unwrap();
        assert!(lock(dir.path()).unwrap().is_none());
        drop(held);
        assert!(lock(dir.path()).unwrap().is_some());
    }
}
