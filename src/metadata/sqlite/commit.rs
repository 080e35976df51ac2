//! Group commit: steps that arrive while a commit runs share the next one.
//!
//! No writer thread: whoever finds the connection free commits everyone's steps ("flat combining"), so
//! that a lone sender waits for no hand-over and a crowd shares one transaction. Whoever lets go of the
//! connection looks at the list again: a step that found it busy relies on that.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::reserve::{self, Reserve};
use super::{Access, BUSY_TIMEOUT, connect, failed, sqlite};
use crate::crash::{self, Point};
use crate::metadata::Error;

/// How often the log's length is looked at.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// From this length on the log is copied into the database beside the writers.
const CHECKPOINT_BYTES: u64 = 4 << 20;
/// From this length on the writers wait for it, so that the log begins anew.
const RESTART_BYTES: u64 = 64 << 20;

/// So long the writers wait for readers when the log is emptied in passing.
const READER_PATIENCE: Duration = Duration::from_millis(50);

pub(super) struct Committer {
    pending: Mutex<Vec<Box<dyn Step>>>,
    writer: Mutex<Writer>,
    log: PathBuf,
    /// Whether a sync of the log has failed, or may have in an earlier process: then what can be read of it
    /// need not be on the disk, and no later sync would say so ([`Committer::trust_log`]).
    log_doubted: AtomicBool,
    /// Whether the log may hold what the records have forgotten.
    forgotten: AtomicBool,
    /// Dropping the sender stops the checkpoint thread.
    checkpoints: Mutex<Option<mpsc::Sender<()>>>,
}

/// The connection that writes.
struct Writer {
    connection: Connection,
    /// Whether its commits would survive power loss. Setting that anew compiles a statement.
    full: bool,
}

/// One step of the business within a shared transaction.
trait Step: Send {
    fn durable(&self) -> bool;
    /// Takes the step; `false` when its changes must be undone.
    fn run(&mut self, tx: &Connection) -> bool;
    /// Tells the waiting task, once the transaction is committed or has failed.
    fn settle(self: Box<Self>, committed: Result<(), CommitFailure>);
}

/// Why a whole batch failed; every step of it is told.
#[derive(Clone, Debug, thiserror::Error)]
enum CommitFailure {
    #[error("the disk is full")]
    Full,
    #[error("{0}")]
    Failed(String),
}

impl From<rusqlite::Error> for CommitFailure {
    fn from(error: rusqlite::Error) -> Self {
        match sqlite(error) {
            Error::Full => Self::Full,
            Error::Failed(reason) => Self::Failed(reason.to_string()),
        }
    }
}

impl From<io::Error> for CommitFailure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<CommitFailure> for Error {
    fn from(failure: CommitFailure) -> Self {
        match failure {
            CommitFailure::Full => Error::Full,
            CommitFailure::Failed(reason) => Error::Failed(reason.into()),
        }
    }
}

struct Submitted<T, F> {
    work: Option<F>,
    outcome: Option<rusqlite::Result<T>>,
    durable: bool,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Step for Submitted<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
{
    fn durable(&self) -> bool {
        self.durable
    }

    fn run(&mut self, tx: &Connection) -> bool {
        // A panic stays this step's own: its batch goes on, its submitter is told.
        let work = self.work.take();
        self.outcome = work.and_then(|work| catch_unwind(AssertUnwindSafe(|| work(tx))).ok());
        matches!(self.outcome, Some(Ok(_)))
    }

    fn settle(self: Box<Self>, committed: Result<(), CommitFailure>) {
        let result = match (self.outcome, committed) {
            (Some(Err(error)), _) => Err(sqlite(error)),
            (_, Err(failure)) => Err(failure.into()),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(Error::Failed("a step panicked".into())),
        };
        let _ = self.reply.send(result); // nobody waits any more: the change stands all the same
    }
}

/// A submitter's duty to see that its step is taken.
struct Turn<'a>(&'a Arc<Committer>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lead();
    }
}

impl Committer {
    /// Commits through this connection to the database at `path`; nobody looks after its log.
    pub(super) fn new(writer: Connection, path: &Path) -> Arc<Self> {
        Arc::new(Self {
            pending: Mutex::default(),
            writer: Mutex::new(Writer { connection: writer, full: false }), // as it was opened
            log: log_path(path),
            log_doubted: AtomicBool::new(true),
            forgotten: AtomicBool::new(true), // an earlier process may have died before it had emptied it
            checkpoints: Mutex::default(),
        })
    }

    /// The same; a thread keeps the log short and the reserve whole.
    pub(super) fn start(
        writer: Connection,
        path: &Path,
        reserve: Arc<Reserve>,
    ) -> Result<Arc<Self>, Error> {
        let (stop, stopped) = mpsc::channel();
        let committer = Self::new(writer, path);
        *lock(&committer.checkpoints) = Some(stop);
        let beside = connect(path, Access::Full)?;
        let weak = Arc::downgrade(&committer);
        std::thread::Builder::new()
            .name("checkpoints".into())
            .spawn(move || {
                while stopped.recv_timeout(CHECKPOINT_EVERY) == Err(RecvTimeoutError::Timeout) {
                    let Some(committer) = weak.upgrade() else {
                        return;
                    };
                    if let Err(error) = committer.checkpoint(&beside) {
                        tracing::warn!(%error, "the database's log could not be checkpointed");
                    }
                    reserve.renew(reserve::BYTES);
                }
            })
            .map_err(failed)?;
        Ok(committer)
    }

    /// Takes a step in a transaction and answers when it is committed.
    pub(super) async fn submit<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.enqueue(work, false).await
    }

    /// The same; answers when it would survive power loss.
    pub(super) async fn submit_durable<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.enqueue(work, true).await
    }

    /// The same; `durable`: answers when it would survive power loss.
    pub(super) async fn enqueue<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        durable: bool,
    ) -> Result<T, Error> {
        let (reply, result) = oneshot::channel();
        let step = Submitted { work: Some(work), outcome: None, durable, reply };
        lock(&self.pending).push(Box::new(step));
        let turn = Turn(self); // also when this task is dropped right here: the step is on the list
        tokio::task::yield_now().await; // lets other tasks add theirs to the batch
        drop(turn);
        result.await.map_err(failed)?
    }

    /// Commits what is pending, here or, when the disk must be waited for, on the blocking pool.
    fn lead(self: &Arc<Self>) {
        while !lock(&self.pending).is_empty() {
            let mut writer = match self.writer.try_lock() {
                Ok(writer) => writer,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let batch = {
                let mut pending = lock(&self.pending);
                if pending.iter().any(|step| step.durable()) {
                    let this = Arc::clone(self);
                    tokio::task::spawn_blocking(move || this.lead_and_wait());
                    return;
                }
                std::mem::take(&mut *pending)
            };
            self.commit(&mut writer, batch);
        }
    }

    fn lead_and_wait(&self) {
        while !lock(&self.pending).is_empty() {
            let mut writer = lock(&self.writer);
            let batch = std::mem::take(&mut *lock(&self.pending));
            self.commit(&mut writer, batch);
        }
    }

    /// Says that the records have forgotten something: the log, which still holds it, is emptied soon.
    pub(super) fn note_forgotten(&self) {
        self.forgotten.store(true, Ordering::SeqCst);
    }

    fn checkpoint(&self, beside: &Connection) -> Result<(), CommitFailure> {
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
    pub(super) fn scrub(&self) -> Result<(), Error> {
        let emptied = {
            let mut writer = lock(&self.writer);
            self.trust_log(&mut writer)
                .and_then(|()| self.noting_failure(writer.rewrite(&self.log)))
        };
        self.lead_and_wait();
        if emptied? {
            return Ok(());
        }
        Err(Error::Failed("another process reads the database, so its log can't be emptied".into()))
    }

    /// Commits what is pending, copies the log into the database and syncs it.
    pub(super) fn stop(&self) -> Result<(), Error> {
        lock(&self.checkpoints).take();
        self.lead_and_wait();
        let result = {
            let mut writer = lock(&self.writer);
            self.trust_log(&mut writer).and_then(|()| {
                let truncated = writer
                    .promise(true)
                    .and_then(|()| truncate_log(&writer.connection, READER_PATIENCE));
                self.noting_failure(truncated).map(drop)
            })
        };
        crash::point(Point::LogEmptied);
        self.lead_and_wait();
        Ok(result?)
    }

    /// Stops where there is no room to copy the log: it is synced, and copied at the next start.
    pub(super) fn keep_log(&self) -> Result<(), Error> {
        tracing::warn!("the disk with the records is full: its log is kept for the next start");
        let synced = OpenOptions::new().read(true).open(&self.log).and_then(|log| log.sync_all());
        synced.map_err(failed)
    }

    fn commit(&self, writer: &mut Writer, mut batch: Vec<Box<dyn Step>>) {
        let durable = batch.iter().any(|step| step.durable());
        let trusted = if durable { self.trust_log(writer) } else { Ok(()) };
        let committed =
            trusted.and_then(|()| self.noting_failure(writer.commit(&mut batch, durable)));
        crash::point(Point::CommitMade);
        for step in batch {
            step.settle(committed.clone());
        }
    }

    fn noting_failure<T>(&self, result: rusqlite::Result<T>) -> Result<T, CommitFailure> {
        let failure = result.map_err(CommitFailure::from);
        if let Err(CommitFailure::Failed(_)) = &failure {
            self.log_doubted.store(true, Ordering::SeqCst);
        }
        failure
    }

    /// Makes a doubted log durable: a sync after a failed one succeeds without what that one was to keep, so
    /// all of it is written once more, in place, and synced. Nothing durable is committed before.
    fn trust_log(&self, writer: &mut Writer) -> Result<(), CommitFailure> {
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

impl Writer {
    fn promise(&mut self, full: bool) -> rusqlite::Result<()> {
        if self.full != full {
            let text = if full { "synchronous = FULL" } else { "synchronous = NORMAL" };
            pragma(&self.connection, text)?;
            self.full = full;
        }
        Ok(())
    }

    fn commit(&mut self, batch: &mut [Box<dyn Step>], durable: bool) -> rusqlite::Result<()> {
        if !self.connection.is_autocommit() {
            self.run("ROLLBACK")?; // what a panic left
        }
        self.promise(durable)?;
        crash::point(Point::CommitUnbegun);
        // Immediate: a deferred transaction that turns into a writer does not wait for another one.
        self.run("BEGIN IMMEDIATE")?;
        let end = self.take(batch);
        crash::point(Point::CommitPrepared);
        let committed = end.and_then(|end| self.run(end));
        if committed.is_err() && !self.connection.is_autocommit() {
            let _ = self.run("ROLLBACK"); // why there was no commit says more than why no rollback
        }
        committed
    }

    /// Takes the steps, undoing those that fail; how the transaction is to end.
    fn take(&self, batch: &mut [Box<dyn Step>]) -> rusqlite::Result<&'static str> {
        if let [step] = batch {
            return Ok(if step.run(&self.connection) { "COMMIT" } else { "ROLLBACK" });
        }
        for step in batch {
            self.run("SAVEPOINT step")?;
            if !step.run(&self.connection) {
                self.run("ROLLBACK TO step")?;
            }
            self.run("RELEASE step")?;
        }
        Ok("COMMIT")
    }

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

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute(()).map(drop)
    }
}

/// Empties the log; `false` when a reader still needs it after so long.
fn truncate_log(writer: &Connection, patience: Duration) -> rusqlite::Result<bool> {
    writer.busy_timeout(patience)?;
    let busy = writer
        .prepare_cached("PRAGMA wal_checkpoint(TRUNCATE)")?
        .query_row((), |row| row.get::<_, bool>(0));
    writer.busy_timeout(BUSY_TIMEOUT)?;
    busy.map(|busy| !busy)
}

fn pragma(connection: &Connection, text: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(&format!("PRAGMA {text}"))?;
    let mut rows = statement.query(())?;
    while rows.next()?.is_some() {}
    Ok(())
}

fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A transaction that a panic left open is rolled back before the next one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
