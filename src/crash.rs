//! Points of the write path at which a test lets the process die, as kill -9 lets it.
//!
//! Without `debug_assertions` all that is left of this are names. Knows nothing of what happens at its points.

macro_rules! points {
    ($($(#[$meaning:meta])* $name:ident,)*) => {
        /// Where the process may die. Each is passed right after (or before) what its name says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point {
            $($(#[$meaning])* $name,)*
        }

        impl Point {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

points! {
    /// First start: the tokens' secret is in its file.
    SecretMade,
    /// First start: records and bytes know each other.
    StoreIntroduced,
    /// Start: what an earlier boot of the machine left is suspect.
    BootBegun,
    /// Start: a suspect upload's parts were compared, and the outcome committed.
    PartsCompared,
    /// Before an upload is begun.
    UploadUnbegun,
    /// An upload is committed, none of its bytes is there.
    UploadBegun,
    /// An idle upload expired to make room; its bytes are still there.
    RoomMade,
    /// A blob is opened to be written to, and may be new.
    BlobOpened,
    /// A frame of a body is written, the first or any other.
    FrameWritten,
    /// All bytes of a part are written.
    PartWritten,
    /// All bytes of a spool are written.
    SpoolFilled,
    /// A spool is about to become an upload's blob.
    SpoolKept,
    /// It has; its bytes are no part yet.
    SpoolAdopted,
    /// A spool's bytes were copied to where they belong.
    SpoolCopied,
    /// Before a part is put on record.
    PartUnrecorded,
    /// A part is on record, its sender not yet answered.
    PartRecorded,
    /// A single file was looked at.
    SingleExamined,
    /// Its metadata are overwritten.
    SinglePatched,
    /// It is on the disk and not on record.
    SingleSealed,
    /// It is on record, its sender not yet answered.
    SingleStored,
    /// Done: the parts make up the file, and what it is to become is known.
    DoneExamined,
    /// Done: what is to be overwritten is on record.
    FinalizingRecorded,
    /// One of the patches is written.
    PatchWritten,
    /// Done: all is overwritten.
    MetadataOverwritten,
    /// Overwriting that a crash interrupted is taken up.
    FinalizingResumed,
    /// Before a blob is cut to its size and synced.
    SealBegun,
    /// A blob was longer and is cut.
    BlobCut,
    /// A blob's bytes are synced, its name may not be.
    BlobSynced,
    /// A blob's name is synced, too.
    NameSynced,
    /// Of an erased user's records the uuids are left; the database's files still hold the rest.
    UserForgotten,
    /// Bytes were not durable: their upload begins again, and they are still there.
    UploadRestarted,
    /// An upload is a File, its sender not yet answered.
    FileFinished,
    /// A single file has the name of its first done.
    FileNamed,
    /// An attempt to make a thumbnail was counted.
    DrawingBegun,
    /// A thumbnail's bytes are on the disk and not on record.
    PictureSealed,
    /// A thumbnail is on record; what it replaces is still there.
    PictureShown,
    /// An upload or File is removed; its bytes are still there.
    RecordRemoved,
    /// Before the next one of a person's is removed.
    EraseGoesOn,
    /// An upload expired; its bytes are still there.
    UploadExpired,
    /// An expired upload's owner was told, and its uuid is free.
    ExpiredForgotten,
    /// Forgotten bytes are deleted, more of them may follow.
    BytesDeleted,
    /// Bytes that no record claims are found.
    UnclaimedFound,
    /// Group commit: before its transaction begins.
    CommitUnbegun,
    /// Group commit: all steps are taken, nothing is committed.
    CommitPrepared,
    /// Group commit: committed, nobody is told.
    CommitMade,
    /// A doubted log is written anew, and synced.
    LogRewritten,
    /// Before the log is copied into the database.
    CheckpointUnbegun,
    /// The log is copied into the database.
    CheckpointMade,
    /// Stop: the log is emptied.
    LogEmptied,
}

/// Passes a point: the end of the process, if it is armed for this time.
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

    /// Lets the process die when it passes a point for the n-th time: `name:n`. An error when there is no such
    /// point, or n is no number from 1 on.
    pub fn arm(order: &str) -> Result<(), String> {
        let armed = order.split_once(':').and_then(|(name, nth)| {
            let point = Point::ALL.iter().find(|point| format!("{point:?}") == name)?;
            Some((*point, AtomicU64::new(nth.parse().ok().filter(|nth| *nth > 0)?)))
        });
        let _ = ARMED.set(armed.ok_or_else(|| format!("\"{order}\" is no point and number"))?);
        Ok(())
    }

    pub(super) fn pass(point: Point) {
        if let Some((armed, left)) = ARMED.get()
            && *armed == point
            && left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            let _ = kill_process(getpid(), Signal::KILL);
            loop {
                std::thread::park(); // the signal may come a moment later, and nothing must happen until then
            }
        }
    }
}
