//! Who may open folders and files: only their owner, or also a group.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

/// A group of the system to which a web server that serves the bytes belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gid(pub u32);

/// Creates a folder that only its owner can open, including missing parents. An existing folder is left unchanged.
pub fn make_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Creates a file with one line that only its owner can read. Under its name, the file either is complete or doesn't
/// exist. The caller syncs the folder.
pub fn make_private_file(path: &Path, line: &str) -> io::Result<()> {
    let half_made = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half_made)?;
    writeln!(file, "{line}")?;
    file.sync_all()?;
    std::fs::rename(half_made, path)
}

/// Undoes [`share`], for when the server is started without the group again: files settled from then on are private,
/// and a later start with a group must notice that it has to share all of them.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    if std::fs::metadata(folder)?.mode() & 0o777 != SHARED {
        return Ok(());
    }
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))
}

/// Mode of a folder that a group can traverse.
pub(super) const SHARED: u32 = 0o710;

/// Gives a group access to a file or folder, as far as `mode` allows.
pub(super) fn share(path: &Path, group: Gid, mode: u32) -> io::Result<()> {
    let shared = chown(path, None, Some(group.0))
        .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(mode)));
    shared.map_err(|error| {
        let message = format!(
            "--data-group: files can be shared only with a group to which the server's user belongs ({error})"
        );
        io::Error::new(error.kind(), message)
    })
}

/// Shares a shard and the files in it, unless that was done before.
pub(super) fn share_shard(shard: &Path, group: Gid) -> io::Result<()> {
    let metadata = std::fs::metadata(shard)?;
    if metadata.gid() == group.0 && metadata.mode() & 0o777 == SHARED {
        return Ok(());
    }
    for entry in std::fs::read_dir(shard)? {
        share(&entry?.path(), group, 0o640)?;
    }
    share(shard, group, SHARED) // last, so that an interrupted start begins again
}
