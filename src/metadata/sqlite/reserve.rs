//! A file that reserves disk space for steps that free space: on a full disk, a removal still needs a few pages of the
//! log, and a stop some of the database. The file is released piece by piece, and restored once there is space.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use crate::space;

/// Its full size: twice the length at which the log is checkpointed and starts over.
pub(super) const BYTES: u64 = 8 << 20;
/// How much is released at once. Others may take what is released.
const PIECE: u64 = 1 << 20;

pub(super) struct Reserve {
    dir: PathBuf,
    path: PathBuf,
}

impl Reserve {
    /// Returns the reserve of a data directory, whether or not the file exists.
    pub(super) fn of(data_dir: &Path) -> Self {
        Self { dir: data_dir.to_owned(), path: data_dir.join("haversack.reserve") }
    }

    /// Releases a piece of it. Returns `false` if none is left.
    pub(super) fn release_some(&self) -> bool {
        let released = OpenOptions::new().write(true).open(&self.path).and_then(|file| {
            let left = file.metadata()?.len().saturating_sub(PIECE);
            file.set_len(left)?;
            Ok(left)
        });
        match released {
            Ok(left) => {
                if left == 0 {
                    let _ = std::fs::remove_file(&self.path);
                }
                let left = space::in_words(left);
                tracing::warn!(
                    left,
                    "the disk with the records is full; using reserved space for removals"
                );
                true
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, "can't release the space reserved by haversack.reserve");
                }
                false
            }
        }
    }

    /// Releases what is needed to open the database on a full disk.
    pub(super) fn release_if_full(&self) {
        if space::free(&self.dir).is_ok_and(|free| free < space::LEAST) {
            self.release_some();
        }
    }

    /// Restores its size, as far as `spare` bytes stay free. Removes the file if the file system can't reserve blocks.
    pub(super) fn renew(&self, spare: u64) {
        let size_now = std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        if size_now >= BYTES {
            return;
        }
        let free = space::free(&self.dir).unwrap_or(0).saturating_sub(spare);
        let size = (size_now + free).min(BYTES) / PIECE * PIECE;
        if size > size_now && self.allocate(size).is_err() {
            let _ = std::fs::remove_file(&self.path); // a file without blocks must not count as a reserve
        }
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&self.path)?;
        Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size)?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn allocates_blocks_once_and_releases_them_piece_by_piece() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(dir.path());
        for _ in 0..2 {
            reserve.renew(0);
            let metadata = std::fs::metadata(&reserve.path).unwrap();
            assert!(metadata.blocks() * 512 >= BYTES);
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        }
        for left in (0..BYTES / PIECE).rev() {
            assert!(reserve.release_some());
            let length = std::fs::metadata(&reserve.path).map_or(0, |metadata| metadata.len());
            assert_eq!(length, left * PIECE);
        }
        assert!(!reserve.release_some() && !reserve.path.exists());
    }

    #[test]
    fn leaves_spare_space_free() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(dir.path());
        reserve.renew(u64::MAX);
        assert!(!reserve.path.exists());
    }

    #[test]
    fn keeps_the_reserve_if_the_disk_has_space() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(dir.path());
        reserve.renew(0);
        reserve.release_if_full();
        assert_eq!(std::fs::metadata(&reserve.path).unwrap().len(), BYTES);
    }
}
