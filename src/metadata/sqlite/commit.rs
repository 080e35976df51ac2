//! Group commit: steps that arrive during a commit share the next one.
//!
//! There is no writer thread. The task that finds the connection free commits the steps of all tasks ("flat
//! combining"), so that a lone sender needs no hand-over and many senders share one transaction. A task that releases
//! the connection checks the list again, because a step that found the connection busy relies on that.

mod log;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::connection::{Access, BUSY_TIMEOUT, connect, failed, is_busy, log_path, sqlite};
use super::reserve::{self, Reserve};
use crate::crash::{self, Point};
use crate::metadata::Error;
use crate::metrics::DatabaseMetrics;
use crate::telemetry::spent_in_database;

/// How often the log's length is checked.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Committer {
    pending: Mutex<Vec<Box<dyn Step>>>,
    writer: Mutex<Writer>,
    log: PathBuf,
    /// Whether a sync of the log has failed, or may have failed in an earlier process. Then what can be read of the log
    /// may not be on the disk, and no later sync would report that ([`Committer::trust_log`]).
    log_untrusted: AtomicBool,
    /// Whether the log may contain data that the records have forgotten.
    forgotten: AtomicBool,
    /// Dropping the sender stops the checkpoint thread.
    checkpoints: Mutex<Option<mpsc::Sender<()>>>,
    pub(super) metrics: DatabaseMetrics,
}

/// The connection that writes.
struct Writer {
    connection: Connection,
    /// Whether `synchronous` is FULL. Remembered because setting it compiles a statement.
    full: bool,
}

/// One step of the business within a shared transaction.
trait Step: Send {
    fn durable(&self) -> bool;
    /// Runs the step. Returns `false` if its changes must be undone.
    fn run(&mut self, tx: &Connection) -> bool;
    /// Sends the result to the waiting task, once the transaction is committed or has failed.
    fn settle(self: Box<Self>, committed: Result<(), CommitFailure>);
}

/// Why a whole batch failed. Each of its steps returns it.
#[derive(Clone, Debug, thiserror::Error)]
enum CommitFailure {
    #[error("{0}")]
    Full(String),
    #[error("{0}")]
    Failed(String),
}

impl From<rusqlite::Error> for CommitFailure {
    fn from(error: rusqlite::Error) -> Self {
        match sqlite(error) {
            Error::Full(reason) => Self::Full(reason.to_string()),
            Error::Unavailable(reason) | Error::Failed(reason) => Self::Failed(reason.to_string()),
        }
    }
}

impl From<io::Error> for CommitFailure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full(error.to_string())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<CommitFailure> for Error {
    fn from(failure: CommitFailure) -> Self {
        match failure {
            CommitFailure::Full(reason) => Error::Full(reason.into()),
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
        // A panic fails only this step: the batch continues, and the submitter gets an error.
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
        let _ = self.reply.send(result); // the change is valid even if nobody waits for the result
    }
}

/// Commits pending steps when it is dropped, so that a submitted step is always run.
struct CommitOnDrop<'a>(&'a Arc<Committer>);

impl Drop for CommitOnDrop<'_> {
    fn drop(&mut self) {
        self.0.commit_pending();
    }
}

impl Committer {
    /// Commits through this connection to the database at `path`. Nothing checkpoints its log.
    pub(super) fn new(writer: Connection, path: &Path) -> Arc<Self> {
        Arc::new(Self {
            pending: Mutex::default(),
            writer: Mutex::new(Writer { connection: writer, full: false }), // as `connect` sets it
            log: log_path(path),
            log_untrusted: AtomicBool::new(true),
            forgotten: AtomicBool::new(true), // an earlier process may have died before it emptied the log
            checkpoints: Mutex::default(),
            metrics: DatabaseMetrics::default(),
        })
    }

    /// [`Committer::new`] with a thread that checkpoints the log and restores the reserve.
    pub(super) fn start(
        writer: Connection,
        path: &Path,
        reserve: Arc<Reserve>,
    ) -> Result<Arc<Self>, Error> {
        let (stop, stopped) = mpsc::channel();
        let committer = Self::new(writer, path);
        *lock(&committer.checkpoints) = Some(stop);
        let connection = connect(path, Access::Full)?;
        let weak = Arc::downgrade(&committer);
        std::thread::Builder::new()
            .name("checkpoints".into())
            .spawn(move || {
                while stopped.recv_timeout(CHECKPOINT_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    let Some(committer) = weak.upgrade() else {
                        return;
                    };
                    if let Err(error) = committer.checkpoint(&connection) {
                        tracing::warn!(%error, "can't checkpoint the database's write-ahead log; retrying");
                    }
                    reserve.renew(reserve::BYTES);
                }
            })
            .map_err(failed)?;
        Ok(committer)
    }

    /// Runs a step in a transaction, and returns when it is committed.
    pub(super) async fn submit<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.enqueue(work, false).await
    }

    /// [`Committer::submit`], but returns when the change would survive a power failure.
    pub(super) async fn submit_durable<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.enqueue(work, true).await
    }

    /// [`Committer::submit`] or, with `durable`, [`Committer::submit_durable`].
    pub(super) async fn enqueue<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        durable: bool,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let (reply, result) = oneshot::channel();
        let step = Submitted { work: Some(work), outcome: None, durable, reply };
        lock(&self.pending).push(Box::new(step));
        let commit = CommitOnDrop(self); // the step is in the list, even if this task is dropped right here
        tokio::task::yield_now().await; // lets other tasks add theirs to the batch
        drop(commit);
        let result = result.await.map_err(failed)?;
        let failed = matches!(result, Err(Error::Failed(_)));
        self.metrics.write.ran(begun.elapsed(), failed);
        spent_in_database(begun.elapsed());
        result
    }

    /// Commits the pending steps: here, or on the blocking pool if that waits for the disk.
    fn commit_pending(self: &Arc<Self>) {
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
                    tokio::task::spawn_blocking(move || this.commit_pending_blocking());
                    return;
                }
                std::mem::take(&mut *pending)
            };
            if let Some(batch) = self.commit(&mut writer, batch, Duration::ZERO) {
                // Another program has locked the database. Wait for it on the blocking pool.
                lock(&self.pending).splice(0..0, batch);
                let this = Arc::clone(self);
                tokio::task::spawn_blocking(move || this.commit_pending_blocking());
                return;
            }
        }
    }

    fn commit_pending_blocking(&self) {
        while !lock(&self.pending).is_empty() {
            let mut writer = lock(&self.writer);
            let batch = std::mem::take(&mut *lock(&self.pending));
            let _ = self.commit(&mut writer, batch, BUSY_TIMEOUT); // no batch is returned with this timeout
        }
    }

    /// Commits a batch and settles its steps. Returns the batch if another program has locked the database and
    /// `timeout` is zero.
    fn commit(
        &self,
        writer: &mut Writer,
        mut batch: Vec<Box<dyn Step>>,
        timeout: Duration,
    ) -> Option<Vec<Box<dyn Step>>> {
        let started = Instant::now();
        let durable = batch.iter().any(|step| step.durable());
        let trusted = if durable { self.trust_log(writer) } else { Ok(()) };
        let begun = trusted.map(|()| writer.begin(durable, timeout));
        if timeout.is_zero() && matches!(&begun, Ok(Err(error)) if is_busy(error)) {
            return Some(batch);
        }
        let committed = begun.and_then(|begun| {
            self.note_failure(begun.and_then(|()| writer.run_and_commit(&mut batch)))
        });
        self.metrics.committed(batch.len(), started.elapsed());
        crash::point(Point::CommitMade);
        for step in batch {
            step.settle(committed.clone());
        }
        None
    }
}

impl Writer {
    fn set_synchronous(&mut self, full: bool) -> rusqlite::Result<()> {
        if self.full != full {
            let text = if full { "synchronous = FULL" } else { "synchronous = NORMAL" };
            pragma(&self.connection, text)?;
            self.full = full;
        }
        Ok(())
    }

    /// Begins a transaction. Waits at most `timeout` for another program that has locked the database.
    fn begin(&mut self, durable: bool, timeout: Duration) -> rusqlite::Result<()> {
        if !self.connection.is_autocommit() {
            self.run("ROLLBACK")?; // a panic left a transaction open
        }
        self.set_synchronous(durable)?;
        crash::point(Point::CommitUnbegun);
        // Immediate, because a deferred transaction that becomes a writer doesn't wait for another writer.
        self.connection.busy_timeout(timeout)?;
        let begun = self.run("BEGIN IMMEDIATE");
        self.connection.busy_timeout(BUSY_TIMEOUT)?;
        begun
    }

    /// Runs the steps and ends the transaction.
    fn run_and_commit(&mut self, batch: &mut [Box<dyn Step>]) -> rusqlite::Result<()> {
        let end = self.run_steps(batch);
        crash::point(Point::CommitPrepared);
        let committed = end.and_then(|end| self.run(end));
        if committed.is_err() && !self.connection.is_autocommit() {
            let _ = self.run("ROLLBACK"); // the error of the commit says more than one of the rollback
        }
        committed
    }

    /// Runs the steps and undoes those that fail. Returns the statement that ends the transaction.
    fn run_steps(&self, batch: &mut [Box<dyn Step>]) -> rusqlite::Result<&'static str> {
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

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute(()).map(drop)
    }
}

fn pragma(connection: &Connection, text: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(&format!("PRAGMA {text}"))?;
    let mut rows = statement.query(())?;
    while rows.next()?.is_some() {}
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A transaction that a panic left open is rolled back before the next one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
