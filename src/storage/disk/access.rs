//! Who may open folders and files: their owner alone, or a group beside it.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

/// A group of the system, which a web server that serves the bytes belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gid(pub u32);

/// Makes a folder only its owner can open, and what is missing above it; one that is there already is left
/// as it is.
pub fn make_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a file of one line that only its owner can read: complete under its name, or not there. The caller
/// syncs the folder.
pub fn make_private_file(path: &Path, line: &str) -> io::Result<()> {
    let half_made = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half_made)?;
    writeln!(file, "{line}")?;
    file.sync_all()?;
    std::fs::rename(half_made, path)
}

/// Takes back what [`share`] gave, as when the server is started without its group again: what is settled from then
/// on is nobody else's, and a group of a later start must find out that it has to share all of it.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    if std::fs::metadata(folder)?.mode() & 0o777 != SHARED {
        return Ok(());
    }
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))
}

/// A folder that a group can go through.
pub(super) const SHARED: u32 = 0o710;

/// Lets a group use a file or folder as far as `mode` says.
pub(super) fn share(path: &Path, group: Gid, mode: u32) -> io::Result<()> {
    let shared = chown(path, None, Some(group.0))
        .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(mode)));
    shared.map_err(|error| {
        let message = format!(
            "--data-group: files can be shared only with a group that the server's user is in ({error})"
        );
        io::Error::new(error.kind(), message)
    })
}

/// Shares a shard, and what is in it unless that was done before.
pub(super) fn share_shard(shard: &Path, group: Gid) -> io::Result<()> {
    let metadata = std::fs::metadata(shard)?;
    if metadata.gid() == group.0 && metadata.mode() & 0o777 == SHARED {
        return Ok(());
    }
    for entry in std::fs::read_dir(shard)? {
        share(&entry?.path(), group, 0o640)?;
    }
    share(shard, group, SHARED) // last: a start that was cut off begins again
}
