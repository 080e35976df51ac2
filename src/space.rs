//! How much of a disk is free.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// With less than this, a disk is full: SQLite needs some of it to open and to record anything.
pub const LEAST: u64 = 1 << 20;

/// Bytes that this process may still write to the disk of an open file or folder (statvfs(3)).
pub fn free_around(file: impl AsFd) -> io::Result<u64> {
    let disk = rustix::fs::fstatvfs(file)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// [`free_around`] the file or folder of this path.
pub fn free(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Bytes in words, in whole MiB.
pub fn in_words(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
