//! Group commit: steps that arrive while a commit runs share the next one.
//!
//! No writer thread: whoever finds the connection free commits everyone's steps ("flat combining"), so
//! that a lone sender waits for no hand-over and a crowd shares one transaction. Whoever lets go of the
//! connection looks at the list again: a step that found it busy relies on that.

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
use crate::telemetry::Spent;

/// How often the log's length is looked at.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

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
    pub(super) metrics: DatabaseMetrics,
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
            metrics: DatabaseMetrics::default(),
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
        let begun = Instant::now();
        let (reply, result) = oneshot::channel();
        let step = Submitted { work: Some(work), outcome: None, durable, reply };
        lock(&self.pending).push(Box::new(step));
        let turn = Turn(self); // also when this task is dropped right here: the step is on the list
        tokio::task::yield_now().await; // lets other tasks add theirs to the batch
        drop(turn);
        let result = result.await.map_err(failed)?;
        let failed = matches!(result, Err(Error::Failed(_)));
        self.metrics.write.ran(begun.elapsed(), failed);
        Spent::in_database(begun.elapsed());
        result
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
            if let Some(batch) = self.commit(&mut writer, batch, Duration::ZERO) {
                // Another program holds the database, which is waited for where it holds up nobody else.
                lock(&self.pending).splice(0..0, batch);
                let this = Arc::clone(self);
                tokio::task::spawn_blocking(move || this.lead_and_wait());
                return;
            }
        }
    }

    fn lead_and_wait(&self) {
        while !lock(&self.pending).is_empty() {
            let mut writer = lock(&self.writer);
            let batch = std::mem::take(&mut *lock(&self.pending));
            let _ = self.commit(&mut writer, batch, BUSY_TIMEOUT); // none comes back
        }
    }

    /// Commits a batch, and tells its steps. Where another program holds the database and there is no `patience` to wait
    /// for it, the batch comes back.
    fn commit(
        &self,
        writer: &mut Writer,
        mut batch: Vec<Box<dyn Step>>,
        patience: Duration,
    ) -> Option<Vec<Box<dyn Step>>> {
        let started = Instant::now();
        let durable = batch.iter().any(|step| step.durable());
        let trusted = if durable { self.trust_log(writer) } else { Ok(()) };
        let begun = trusted.map(|()| writer.begin(durable, patience));
        if patience.is_zero() && matches!(&begun, Ok(Err(error)) if is_busy(error)) {
            return Some(batch);
        }
        let committed = begun
            .and_then(|begun| self.noting_failure(begun.and_then(|()| writer.end(&mut batch))));
        self.metrics.committed(batch.len(), started.elapsed());
        crash::point(Point::CommitMade);
        for step in batch {
            step.settle(committed.clone());
        }
        None
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

    /// Begins a transaction, and waits so long for another program that holds the database.
    fn begin(&mut self, durable: bool, patience: Duration) -> rusqlite::Result<()> {
        if !self.connection.is_autocommit() {
            self.run("ROLLBACK")?; // what a panic left
        }
        self.promise(durable)?;
        crash::point(Point::CommitUnbegun);
        // Immediate: a deferred transaction that turns into a writer does not wait for another one.
        self.connection.busy_timeout(patience)?;
        let begun = self.run("BEGIN IMMEDIATE");
        self.connection.busy_timeout(BUSY_TIMEOUT)?;
        begun
    }

    /// Takes the steps, and ends the transaction.
    fn end(&mut self, batch: &mut [Box<dyn Step>]) -> rusqlite::Result<()> {
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
