//! Free disk space.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// A disk with fewer free bytes than this counts as full: SQLite needs some to open the database and to write to it.
pub const LEAST: u64 = 1 << 20;

/// Returns the number of bytes that this process may still write to the disk of an open file or folder (statvfs(3)).
pub fn free_around(file: impl AsFd) -> io::Result<u64> {
    let disk = rustix::fs::fstatvfs(file)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Returns [`free_around`] of the file or folder at this path.
pub fn free(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Formats a number of bytes in whole MiB.
pub fn in_words(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
