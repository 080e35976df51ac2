//! The write-ahead log: checkpointed into the database, truncated, and made durable when a sync may have failed.

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

/// Length from which on the log is checkpointed while writers continue.
const CHECKPOINT_BYTES: u64 = 4 << 20;
/// Length from which on the writers wait for a checkpoint, so that the log starts over.
const RESTART_BYTES: u64 = 64 << 20;
/// How long the writers wait for readers when the log is truncated while the server runs.
const READER_TIMEOUT: Duration = Duration::from_millis(50);
/// How long a stop waits for readers and for another checkpoint. Nothing else waits then.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often to check whether another checkpoint has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

impl Committer {
    /// Notes that the records have forgotten something that is still in the log, which is then truncated soon.
    pub(in super::super) fn note_forgotten(&self) {
        self.forgotten.store(true, Ordering::SeqCst);
    }

    pub(super) fn checkpoint(&self, connection: &Connection) -> Result<(), CommitFailure> {
        // If the log isn't on the disk, the database must not become newer than the log there.
        if self.log_untrusted.load(Ordering::SeqCst) {
            return Ok(());
        }
        let forgotten = self.forgotten.swap(false, Ordering::SeqCst) && length(&self.log) > 0;
        if length(&self.log) < CHECKPOINT_BYTES && !forgotten {
            return Ok(());
        }
        let truncated = self.checkpoint_now(connection, forgotten);
        if forgotten && !matches!(truncated, Ok(true)) {
            self.note_forgotten();
        }
        truncated.map(drop)
    }

    /// Checkpoints the log, and truncates it if `truncate` is set or it is long. Returns whether it truncated it.
    fn checkpoint_now(
        &self,
        connection: &Connection,
        truncate: bool,
    ) -> Result<bool, CommitFailure> {
        crash::point(Point::CheckpointUnbegun);
        self.note_failure(pragma(connection, "wal_checkpoint(PASSIVE)"))?;
        crash::point(Point::CheckpointMade);
        if length(&self.log) < RESTART_BYTES && !truncate {
            return Ok(false);
        }
        let truncated = truncate_log(&lock(&self.writer).connection, READER_TIMEOUT);
        self.commit_pending_blocking();
        self.note_failure(truncated)
    }

    /// Rewrites the database without deleted data, and truncates the log. Deleting overwrites data, but SQLite leaves
    /// copies of records behind when it moves them from page to page.
    pub(in super::super) fn scrub(&self) -> Result<(), Error> {
        let truncated = {
            let mut writer = lock(&self.writer);
            self.trust_log(&mut writer).and_then(|()| self.note_failure(writer.rewrite(&self.log)))
        };
        self.commit_pending_blocking();
        if truncated? {
            return Ok(());
        }
        let message = "another process is using the database, so its log can't be emptied: \
                       stop that process first";
        Err(Error::Failed(message.into()))
    }

    /// Stops the checkpoint thread, and empties the log.
    pub(in super::super) fn stop(&self) -> Result<(), Error> {
        lock(&self.checkpoints).take();
        let emptied = self.empty_log();
        crash::point(Point::LogEmptied);
        emptied
    }

    /// Commits the pending steps, checkpoints the log and syncs the database.
    pub(in super::super) fn empty_log(&self) -> Result<(), Error> {
        self.commit_pending_blocking();
        let result = {
            let mut writer = lock(&self.writer);
            self.trust_log(&mut writer).and_then(|()| {
                let truncated = writer
                    .set_synchronous(true)
                    .and_then(|()| truncate_log(&writer.connection, STOP_TIMEOUT));
                self.note_failure(truncated).map(drop)
            })
        };
        self.commit_pending_blocking();
        Ok(result?)
    }

    /// Stops without space to checkpoint the log: it is synced, and checkpointed at the next start.
    pub(in super::super) fn keep_log(&self) -> Result<(), Error> {
        tracing::warn!(
            "the disk with the records is full; the write-ahead log stays and is checkpointed at the next start"
        );
        let synced = OpenOptions::new().read(true).open(&self.log).and_then(|log| log.sync_all());
        synced.map_err(failed)
    }

    pub(super) fn note_failure<T>(&self, result: rusqlite::Result<T>) -> Result<T, CommitFailure> {
        let failure = result.map_err(CommitFailure::from);
        if let Err(CommitFailure::Failed(_)) = &failure {
            self.log_untrusted.store(true, Ordering::SeqCst);
        }
        failure
    }

    /// Makes an untrusted log durable. A sync after a failed one succeeds although the data of the failed one is lost.
    /// So the whole log is written again, in place, and synced. Nothing durable is committed before.
    pub(super) fn trust_log(&self, writer: &mut Writer) -> Result<(), CommitFailure> {
        if !self.log_untrusted.load(Ordering::SeqCst) {
            return Ok(());
        }
        // Takes the write lock, because a command that runs alongside the server may write, too.
        let _tx = Transaction::new(&mut writer.connection, TransactionBehavior::Immediate)?;
        rewrite(&self.log)?;
        crash::point(Point::LogRewritten);
        self.log_untrusted.store(false, Ordering::SeqCst);
        Ok(())
    }
}

impl Writer {
    /// Rewrites the whole database and truncates the log. Returns `false` if a reader still needs the log. The new
    /// database is first written to an unnamed file in the same directory, because it may be too large for memory.
    fn rewrite(&mut self, log: &Path) -> rusqlite::Result<bool> {
        if !self.connection.is_autocommit() {
            self.run("ROLLBACK")?; // a panic left a transaction open
        }
        self.set_synchronous(true)?;
        let dir = log.parent().unwrap_or(Path::new(".")).to_string_lossy();
        self.connection.pragma_update(None, "temp_store_directory", dir)?;
        self.connection.pragma_update(None, "temp_store", "FILE")?;
        let rewritten = self.connection.execute_batch("VACUUM");
        self.connection.pragma_update(None, "temp_store", "MEMORY")?;
        rewritten.and_then(|()| truncate_log(&self.connection, BUSY_TIMEOUT))
    }
}

/// Truncates the log. Returns `false` if a reader still needs it or another checkpoint is running when the timeout
/// ends.
fn truncate_log(writer: &Connection, timeout: Duration) -> rusqlite::Result<bool> {
    let truncated = truncate_log_until(writer, Instant::now() + timeout);
    writer.busy_timeout(BUSY_TIMEOUT)?;
    truncated
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
        // SQLite waits for readers, but never for another checkpoint, such as one that runs while writers continue.
        std::thread::sleep(POLL_INTERVAL.min(left));
    }
}

/// Writes a file's bytes again in place, and syncs the file.
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
