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

/// Returns the number of files that this process may still create on the disk of this file or folder; `None` if its file
/// system has no such limit.
pub fn free_inodes(path: &Path) -> io::Result<Option<u64>> {
    let disk = rustix::fs::statvfs(path)?;
    Ok((disk.f_files > 0).then_some(disk.f_favail))
}

/// Adds to the system's error of a full disk which of its resources is used up. The error is the same for bytes, inodes
/// and some quotas.
pub fn explain(error: io::Error, folder: &Path) -> io::Error {
    if error.raw_os_error().is_none() {
        return error; // ours, which says so
    }
    let (Ok(bytes), Ok(inodes)) = (free(folder), free_inodes(folder)) else { return error };
    let free = in_words(bytes);
    let hint = match inodes {
        Some(0) => format!("no inodes are left (df -i), although {free} are free"),
        _ if bytes > LEAST => format!("{free} are free, so a quota may be used up"),
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{error}: {hint}"))
}

/// Formats a number of bytes in whole MiB.
pub fn in_words(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
