//! Points on the write path at which a test can kill the process, as kill -9 would.
//!
//! Without `debug_assertions`, only the names are left. Knows nothing about what happens at its points.

macro_rules! points {
    ($($(#[$meaning:meta])* $name:ident,)*) => {
        /// A point at which the process can be killed, right after (or before) what its name says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point {
            $($(#[$meaning])* $name,)*
        }

        impl Point {
            /// All points.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

points! {
    /// First start: the secret for tokens has been written to its file.
    SecretMade,
    /// First start: the records contain the id of the byte store.
    StoreIntroduced,
    /// Start: whatever an earlier boot of the machine left is marked as suspect.
    BootBegun,
    /// Start: a suspect upload's parts were compared, and the result committed.
    PartsCompared,
    /// Before an upload begins.
    UploadUnbegun,
    /// An upload was committed, before any of its bytes was written.
    UploadBegun,
    /// An idle upload was expired to make room for another one; its bytes still exist.
    RoomMade,
    /// A blob, possibly a new one, was opened for writing.
    BlobOpened,
    /// A frame of a body was written, the first or any other.
    FrameWritten,
    /// All bytes of a part were written.
    PartWritten,
    /// All bytes of a spool were written.
    SpoolFilled,
    /// Before a spool becomes an upload's blob.
    SpoolKept,
    /// A spool became an upload's blob; its bytes are not a part yet.
    SpoolAdopted,
    /// A spool's bytes were copied to their place.
    SpoolCopied,
    /// Before a part is put on record.
    PartUnrecorded,
    /// A part is on record; no reply has been sent.
    PartRecorded,
    /// A single file was examined.
    SingleExamined,
    /// A single file's metadata was overwritten.
    SinglePatched,
    /// A single file is on disk, but not on record.
    SingleSealed,
    /// A single file is on record; no reply has been sent.
    SingleStored,
    /// Done: the parts form the file, and it is known what it will become.
    DoneExamined,
    /// Done: what will be overwritten is on record.
    FinalizingRecorded,
    /// A patch was written.
    PatchWritten,
    /// Done: all metadata was overwritten.
    MetadataOverwritten,
    /// Overwriting that a crash interrupted continues.
    FinalizingResumed,
    /// Before a blob is truncated to its size and synced.
    SealBegun,
    /// A blob that was too long was truncated.
    BlobCut,
    /// A blob's bytes are synced; its name may not be.
    BlobSynced,
    /// A blob's name is synced too.
    NameSynced,
    /// Only the uuids are left of an erased user's records; the database's files still contain the rest.
    UserForgotten,
    /// Bytes were not durable: the upload begins again, and the old bytes still exist.
    UploadRestarted,
    /// An upload became a File; no reply has been sent.
    FileFinished,
    /// Uploads were joined into one; nobody finishes it yet.
    UploadsJoined,
    /// The bytes of a joined File were copied into one blob; its record names the others.
    CopyMade,
    /// A single file got its name from its first done.
    FileNamed,
    /// An attempt to make a thumbnail was counted.
    DrawingBegun,
    /// A thumbnail's bytes are on disk, but not on record.
    PictureSealed,
    /// A thumbnail is on record; what it replaces still exists.
    PictureShown,
    /// An upload or File was removed; its bytes still exist.
    RecordRemoved,
    /// Before the next item of a user is erased.
    EraseGoesOn,
    /// An upload expired; its bytes still exist.
    UploadExpired,
    /// An expired upload's owner was told, and its uuid is free.
    ExpiredForgotten,
    /// Bytes that are no longer on record were deleted; more may follow.
    BytesDeleted,
    /// Bytes that no record claims were found; they still exist.
    UnclaimedFound,
    /// Group commit: before the transaction begins.
    CommitUnbegun,
    /// Group commit: all steps were executed, but not committed.
    CommitPrepared,
    /// Group commit: committed, but no task has been told.
    CommitMade,
    /// A log that may be damaged was rewritten and synced.
    LogRewritten,
    /// Before the log is copied into the database.
    CheckpointUnbegun,
    /// The log was copied into the database.
    CheckpointMade,
    /// Shutdown: the log was emptied.
    LogEmptied,
}

/// Passes a point. Ends the process if the point is armed for this hit.
#[inline]
pub fn point(point: Point) {
    #[cfg(debug_assertions)]
    armed::pass(point);
    #[cfg(not(debug_assertions))]
    let _ = point;
}

#[cfg(debug_assertions)]
pub use armed::arm;

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    use super::Point;

    static ARMED: OnceLock<(Point, AtomicU64)> = OnceLock::new();

    /// Makes the process die on the n-th hit of a point, given as `name:n`. Fails if there is no such point, or if n
    /// isn't a number above 0.
    pub fn arm(hit: &str) -> Result<(), String> {
        let armed = hit.split_once(':').and_then(|(name, nth)| {
            let point = Point::ALL.iter().find(|point| format!("{point:?}") == name)?;
            Some((*point, AtomicU64::new(nth.parse().ok().filter(|nth| *nth > 0)?)))
        });
        let _ = ARMED.set(armed.ok_or_else(|| {
            format!("\"{hit}\" is not the name of a crash point and a number above 0, as name:n")
        })?);
        Ok(())
    }

    pub(super) fn pass(point: Point) {
        if let Some((armed, left)) = ARMED.get()
            && *armed == point
            && left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            let _ = kill_process(getpid(), Signal::KILL);
            loop {
                std::thread::park(); // nothing more may happen, although the signal may arrive a moment later
            }
        }
    }
}
