//! A file that keeps some of the disk for what makes room: when nothing is left, a removal still needs a few pages of
//! the log, and a stop some of the database. It is given up piece by piece, and made whole once there is room.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use crate::space;

/// Its size when it is whole: twice the length at which the log is copied into the database and begins anew.
pub(super) const BYTES: u64 = 8 << 20;
/// So much of it is given up at once: what is free meanwhile, others may take.
const PIECE: u64 = 1 << 20;

pub(super) struct Reserve {
    folder: PathBuf,
    path: PathBuf,
}

impl Reserve {
    /// That of a data directory, whether it is there or not.
    pub(super) fn of(data_dir: &Path) -> Self {
        Self { folder: data_dir.to_owned(), path: data_dir.join("haversack.reserve") }
    }

    /// Gives up a piece of it; `false` when there is none left.
    pub(super) fn give_up_some(&self) -> bool {
        let given = OpenOptions::new().write(true).open(&self.path).and_then(|file| {
            let left = file.metadata()?.len().saturating_sub(PIECE);
            file.set_len(left)?;
            Ok(left)
        });
        match given {
            Ok(left) => {
                if left == 0 {
                    let _ = std::fs::remove_file(&self.path);
                }
                let left = space::in_words(left);
                tracing::warn!(
                    left,
                    "the disk with the records is full: removals use the space kept for them"
                );
                true
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, "haversack.reserve could not be given up");
                }
                false
            }
        }
    }

    /// Gives up what the database takes to be opened.
    pub(super) fn give_up_if_full(&self) {
        if space::free(&self.folder).is_ok_and(|free| free < space::LEAST) {
            self.give_up_some();
        }
    }

    /// Makes it as large as it should be, as far as `spare` bytes stay free beside it. On a file system that can't
    /// reserve blocks there is none.
    pub(super) fn renew(&self, spare: u64) {
        let there = std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        if there >= BYTES {
            return;
        }
        let free = space::free(&self.folder).unwrap_or(0).saturating_sub(spare);
        let size = (there + free).min(BYTES) / PIECE * PIECE;
        if size > there && self.allocate(size).is_err() {
            let _ = std::fs::remove_file(&self.path); // one that holds nothing would pass for one that does
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
    fn it_takes_its_blocks_once_and_gives_them_back_piece_by_piece() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(dir.path());
        for _ in 0..2 {
            reserve.renew(0);
            let metadata = std::fs::metadata(&reserve.path).unwrap();
            assert!(metadata.blocks() * 512 >= BYTES);
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        }
        for left in (0..BYTES / PIECE).rev() {
            assert!(reserve.give_up_some());
            let length = std::fs::metadata(&reserve.path).map_or(0, |metadata| metadata.len());
            assert_eq!(length, left * PIECE);
        }
        assert!(!reserve.give_up_some() && !reserve.path.exists());
    }

    #[test]
    fn it_takes_nothing_of_what_is_to_stay_free() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(dir.path());
        reserve.renew(u64::MAX);
        assert!(!reserve.path.exists());
    }

    #[test]
    fn a_disk_with_room_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(dir.path());
        reserve.renew(0);
        reserve.give_up_if_full();
        assert_eq!(std::fs::metadata(&reserve.path).unwrap().len(), BYTES);
    }
}
