//! The log: copied into the database, emptied, and made durable where that is in doubt.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::super::connection::{BUSY_TIMEOUT, failed};
use super::{CommitFailure, Committer, Writer, lock, pragma};
use crate::crash::{self, Point};
use crate::metadata::Error;

/// From this length on the log is copied into the database beside the writers.
const CHECKPOINT_BYTES: u64 = 4 << 20;
/// From this length on the writers wait for it, so that the log begins anew.
const RESTART_BYTES: u64 = 64 << 20;
/// So long the writers wait for readers when the log is emptied in passing.
const READER_PATIENCE: Duration = Duration::from_millis(50);
/// So long a stop waits for readers and for a checkpoint under way: nobody else waits then.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether another checkpoint has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Committer {
    /// Says that the records have forgotten something: the log, which still holds it, is emptied soon.
    pub(in super::super) fn note_forgotten(&self) {
        self.forgotten.store(true, Ordering::SeqCst);
    }

    pub(super) fn checkpoint(&self, beside: &Connection) -> Result<(), CommitFailure> {
        // A log that is not on the disk must not be older there than the database.
        if self.log_doubted.load(Ordering::SeqCst) {
            return Ok(());
        }
        let forgotten = self.forgotten.swap(false, Ordering::SeqCst) && length(&self.log) > 0;
        if length(&self.log) < CHECKPOINT_BYTES && !forgotten {
            return Ok(());
        }
        let emptied = self.checkpoint_now(beside, forgotten);
        if forgotten && !matches!(emptied, Ok(true)) {
            self.note_forgotten();
        }
        emptied.map(drop)
    }

    /// Copies the log into the database, and empties it where that is asked for or due; whether it did.
    fn checkpoint_now(&self, beside: &Connection, empty: bool) -> Result<bool, CommitFailure> {
        crash::point(Point::CheckpointUnbegun);
        self.noting_failure(pragma(beside, "wal_checkpoint(PASSIVE)"))?;
        crash::point(Point::CheckpointMade);
        if length(&self.log) < RESTART_BYTES && !empty {
            return Ok(false);
        }
        let emptied = truncate_log(&lock(&self.writer).connection, READER_PATIENCE);
        self.lead_and_wait();
        self.noting_failure(emptied)
    }

    /// Rewrites the database without what was deleted from it, and empties the log. Deleting overwrites; but
    /// SQLite leaves copies of records where it moves them from page to page.
    pub(in super::super) fn scrub(&self) -> Result<(), Error> {
        let emptied = {
            let mut writer = lock(&self.writer);
            self.trust_log(&mut writer)
                .and_then(|()| self.noting_failure(writer.rewrite(&self.log)))
        };
        self.lead_and_wait();
        if emptied? {
            return Ok(());
        }
        let message =
            "another process uses the database, so its log can't be emptied: end that one first";
        Err(Error::Failed(message.into()))
    }

    /// Stops the checkpoint thread, and empties the log.
    pub(in super::super) fn stop(&self) -> Result<(), Error> {
        lock(&self.checkpoints).take();
        let emptied = self.empty_log();
        crash::point(Point::LogEmptied);
        emptied
    }

    /// Commits what is pending, copies the log into the database and syncs it.
    pub(in super::super) fn empty_log(&self) -> Result<(), Error> {
        self.lead_and_wait();
        let result = {
            let mut writer = lock(&self.writer);
            self.trust_log(&mut writer).and_then(|()| {
                let truncated = writer
                    .promise(true)
                    .and_then(|()| truncate_log(&writer.connection, STOP_PATIENCE));
                self.noting_failure(truncated).map(drop)
            })
        };
        self.lead_and_wait();
        Ok(result?)
    }

    /// Stops where there is no room to copy the log: it is synced, and copied at the next start.
    pub(in super::super) fn keep_log(&self) -> Result<(), Error> {
        tracing::warn!("the disk with the records is full: its log is kept for the next start");
        let synced = OpenOptions::new().read(true).open(&self.log).and_then(|log| log.sync_all());
        synced.map_err(failed)
    }

    pub(super) fn noting_failure<T>(
        &self,
        result: rusqlite::Result<T>,
    ) -> Result<T, CommitFailure> {
        let failure = result.map_err(CommitFailure::from);
        if let Err(CommitFailure::Failed(_)) = &failure {
            self.log_doubted.store(true, Ordering::SeqCst);
        }
        failure
    }

    /// Makes a doubted log durable: a sync after a failed one succeeds without what that one was to keep, so
    /// all of it is written once more, in place, and synced. Nothing durable is committed before.
    pub(super) fn trust_log(&self, writer: &mut Writer) -> Result<(), CommitFailure> {
        if !self.log_doubted.load(Ordering::SeqCst) {
            return Ok(());
        }
        // Holds the lock of writers: a command beside the server may be one, too.
        let _tx = Transaction::new(&mut writer.connection, TransactionBehavior::Immediate)?;
        rewrite(&self.log)?;
        crash::point(Point::LogRewritten);
        self.log_doubted.store(false, Ordering::SeqCst);
        Ok(())
    }
}

impl Writer {
    /// Writes the whole database anew, and empties the log; `false` when a reader still needs that. The new one is
    /// first written to a file without a name beside it: it may be too large for the memory.
    fn rewrite(&mut self, log: &Path) -> rusqlite::Result<bool> {
        if !self.connection.is_autocommit() {
            self.run("ROLLBACK")?; // what a panic left
        }
        self.promise(true)?;
        let folder = log.parent().unwrap_or(Path::new(".")).to_string_lossy();
        self.connection.pragma_update(None, "temp_store_directory", folder)?;
        self.connection.pragma_update(None, "temp_store", "FILE")?;
        let rewritten = self.connection.execute_batch("VACUUM");
        self.connection.pragma_update(None, "temp_store", "MEMORY")?;
        rewritten.and_then(|()| truncate_log(&self.connection, BUSY_TIMEOUT))
    }
}

/// Empties the log; `false` when a reader still needs it, or another checkpoint is under way, after so long.
fn truncate_log(writer: &Connection, patience: Duration) -> rusqlite::Result<bool> {
    let emptied = truncate_log_until(writer, Instant::now() + patience);
    writer.busy_timeout(BUSY_TIMEOUT)?;
    emptied
}

fn truncate_log_until(writer: &Connection, until: Instant) -> rusqlite::Result<bool> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        writer.busy_timeout(left)?;
        let busy: bool = writer
            .prepare_cached("PRAGMA wal_checkpoint(TRUNCATE)")?
            .query_row((), |row| row.get(0))?;
        if !busy || left.is_zero() {
            return Ok(!busy);
        }
        // SQLite waits for readers, but never for another checkpoint, such as the one beside the writers.
        std::thread::sleep(LOOK_EVERY.min(left));
    }
}

/// Writes a file's bytes where they are, and syncs it.
fn rewrite(path: &Path) -> io::Result<()> {
    const PIECE: usize = 1 << 20;
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut buffer = vec![0; PIECE];
    let mut at = 0;
    loop {
        match file.read_at(&mut buffer, at)? {
            0 => return file.sync_all(),
            count => {
                file.write_all_at(&buffer[..count], at)?;
                at += count as u64;
            }
        }
    }
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}
