//! Attempts at a step: a step that failed for a temporary reason is retried for a limited time.
//!
//! A connection may be lost between a commit and its reply. So each step records a random name together with its
//! changes. If the name exists when the step is retried, the previous attempt was committed, and its result is
//! returned. If that attempt is still running, recording the name waits for it.

use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object, Pool, PoolError, Timeouts};
use tokio::runtime::Handle;
use tokio::time::Instant;
use uuid::Uuid;

use super::options::PostgresOptions;
use super::pool::{Kind, failed, kind, unavailable};
use super::values::Values;
use crate::metadata::Error;
use crate::metrics::{DatabaseMetrics, OperationMetrics};
use crate::telemetry::spent_in_database;

/// A connection as steps use it.
pub(super) type Pg = ClientWrapper;

/// What attempts need to know of the database.
pub(super) struct Database {
    pub(super) pool: Pool,
    pub(super) options: PostgresOptions,
    pub(super) metrics: DatabaseMetrics,
    /// Whether steps that change something fail.
    pub(super) read_only: bool,
}

impl Database {
    /// Returns the same database with short timeouts, for callers that must respond within three seconds even if the
    /// database doesn't.
    pub(super) fn with_short_timeouts(&self) -> Self {
        let options = PostgresOptions {
            retry_timeout: self.options.retry_timeout.min(Duration::from_secs(1)),
            statement_timeout: self.options.statement_timeout.min(Duration::from_millis(500)),
            ..self.options.clone()
        };
        self.with(options)
    }

    /// Returns the same database for statements that wait as long as the connection lasts.
    pub(super) fn without_timeouts(&self) -> Self {
        self.with(PostgresOptions { statement_timeout: DAY, ..self.options.clone() })
    }

    fn with(&self, options: PostgresOptions) -> Self {
        Self { pool: self.pool.clone(), options, metrics: self.metrics.clone(), ..*self }
    }
}

/// How long a discarded connection may take to answer before it is closed.
const DISCARD_TIMEOUT: Duration = Duration::from_mins(10);
const DAY: Duration = Duration::from_hours(24);
/// The pause before the second attempt. It doubles with each further attempt.
const MIN_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Runs a step in a transaction, and retries it while it fails for a temporary reason.
macro_rules! step {
    ($database:expr, $tx:ident => $work:expr) => {{
        let mut attempts = crate::metadata::postgres::attempts::Attempts::write($database);
        loop {
            match attempts.begin_transaction().await? {
                Err(committed) => break Ok(committed),
                Ok(transaction) => {
                    let $tx = &*transaction;
                    let work = attempts.with_timeout($work).await;
                    if let Some(result) = attempts.commit(transaction, work).await? {
                        break Ok(result);
                    }
                }
            }
        }
    }};
}
pub(super) use step;

/// Runs one statement, which is a transaction of its own, or several that only read, and retries them while they fail
/// for a temporary reason. `$again` is whether an earlier attempt may have been committed.
macro_rules! statement {
    ($operation:ident, $database:expr, |$tx:ident, $again:ident| $work:expr) => {{
        let mut attempts = crate::metadata::postgres::attempts::Attempts::$operation($database);
        loop {
            let connection = attempts.connection().await?;
            let ($tx, $again) = (&*connection, attempts.is_repeated());
            let _ = $again;
            let work = attempts.with_timeout($work).await;
            if let Some(result) = attempts.finish(connection, work).await? {
                break Ok(result);
            }
        }
    }};
}
pub(super) use statement;

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Database(#[from] tokio_postgres::Error),
    /// A concurrent transaction changed the same rows.
    #[error("a concurrent transaction changed the same rows")]
    Contended,
    #[error("the database did not respond in time")]
    Timeout,
    /// The files of these records are in another server's data directory.
    #[error(
        "another server keeps the files of these records in its data directory; use the data directory that contains \
         the node-id and blobs of that server"
    )]
    OtherDirectory,
    /// The uuid of a new upload is already used.
    #[error("the uuid of a new upload is already used")]
    UuidUsed,
    #[error(transparent)]
    Pool(PoolError),
}

impl Failure {
    fn kind(&self) -> Kind {
        match self {
            Self::Database(error) | Self::Pool(PoolError::Backend(error)) => kind(error),
            Self::Contended => Kind::Contended,
            Self::OtherDirectory | Self::UuidUsed => Kind::Permanent,
            Self::Timeout | Self::Pool(_) => Kind::Unreachable,
        }
    }

    fn into_error(self) -> Error {
        match (self.kind(), self) {
            // A password or certificate that is refused, too: the operator mends that, and clients come back.
            (_, Self::Pool(error)) => unavailable(error),
            (Kind::Full, failure) => Error::Full(Box::new(failure)),
            (Kind::Contended | Kind::Unreachable, failure) => Error::Unavailable(Box::new(failure)),
            (Kind::Permanent, failure) => Error::Failed(Box::new(failure)),
        }
    }
}

/// A connection with an open transaction. If it is dropped before the transaction ends, for example because the caller
/// was cancelled, the connection is closed: the database rolls the transaction back, and the pool never contains a
/// connection with an open transaction.
pub(super) struct Transaction(Option<Object>);

impl std::ops::Deref for Transaction {
    type Target = Pg;

    fn deref(&self) -> &Pg {
        self.0.as_ref().expect("the connection is present until its transaction has ended")
    }
}

impl Transaction {
    /// Returns the connection to the pool after its transaction has ended.
    fn release(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            discard(connection);
        }
    }
}

/// The attempts at one step.
pub(super) struct Attempts<'a, T> {
    database: &'a Database,
    operation: &'a OperationMetrics,
    is_write: bool,
    begun: Instant,
    deadline: Instant,
    pause: Duration,
    repeated: bool,
    name: Uuid,
    /// The result of the last attempt, if it isn't known whether it was committed.
    unconfirmed: Option<T>,
    /// Whether some attempt may have been committed.
    maybe_committed: bool,
}

impl<'a, T> Attempts<'a, T> {
    /// Begins the attempts at a step that only reads.
    pub(super) fn read(database: &'a Database) -> Self {
        Self::begin(database, &database.metrics.read, false)
    }

    /// Begins the attempts at a step that changes something.
    pub(super) fn write(database: &'a Database) -> Self {
        Self::begin(database, &database.metrics.write, true)
    }

    fn begin(database: &'a Database, operation: &'a OperationMetrics, is_write: bool) -> Self {
        let begun = Instant::now();
        Self {
            database,
            operation,
            is_write,
            begun,
            deadline: begun + database.options.retry_timeout,
            pause: MIN_PAUSE,
            repeated: false,
            name: Uuid::new_v4(),
            unconfirmed: None,
            maybe_committed: false,
        }
    }

    /// Whether there was an earlier attempt.
    pub(super) fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// Returns a connection. Waits and retries until the deadline.
    pub(super) async fn connection(&mut self) -> Result<Object, Error> {
        if self.database.read_only && self.is_write {
            return Err(failed("the records were opened read-only"));
        }
        loop {
            let bound = Some(self.database.options.retry_timeout);
            let timeouts = Timeouts { wait: bound, create: bound, recycle: bound };
            match self.database.pool.timeout_get(&timeouts).await {
                Ok(connection) => return Ok(connection),
                Err(error) => self.wait_or_fail(Failure::Pool(error)).await?,
            }
        }
    }

    /// Returns a connection with an open transaction, or the result of the previous attempt if that was committed.
    pub(super) async fn begin_transaction(&mut self) -> Result<Result<Transaction, T>, Error> {
        loop {
            let connection = Transaction(Some(self.connection().await?));
            let is_new = async {
                let record = connection
                    .prepare_cached("INSERT INTO steps (name) VALUES ($1) ON CONFLICT DO NOTHING")
                    .await?;
                // Both are sent in order, in one round trip.
                let begin = connection.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED");
                let name: Values<'_> = &[&self.name];
                let ((), recorded) = tokio::try_join!(begin, connection.execute(&record, name))?;
                Ok::<_, tokio_postgres::Error>(recorded > 0)
            };
            match self.with_timeout(is_new).await {
                Ok(true) => {
                    (self.unconfirmed, self.maybe_committed) = (None, false);
                    return Ok(Ok(connection));
                }
                Ok(false) => match self.unconfirmed.take() {
                    Some(result) => {
                        self.count(false);
                        return Ok(Err(result));
                    }
                    None => self.name = Uuid::new_v4(),
                },
                Err(error) => {
                    drop(connection);
                    self.wait_or_fail(error).await?;
                }
            }
        }
    }

    /// Commits. Returns `None` if the step must be retried.
    pub(super) async fn commit(
        &mut self,
        transaction: Transaction,
        work: Result<T, Failure>,
    ) -> Result<Option<T>, Error> {
        let failure = match work {
            Err(failure) => failure,
            Ok(result) => {
                self.unconfirmed = Some(result);
                let committed = transaction.batch_execute("COMMIT");
                match self.with_timeout(committed).await {
                    Ok(()) => {
                        transaction.release();
                        self.count(false);
                        return Ok(self.unconfirmed.take());
                    }
                    Err(failure) => {
                        self.maybe_committed = failure.kind() == Kind::Unreachable;
                        failure
                    }
                }
            }
        };
        drop(transaction);
        self.wait_or_fail(failure).await?;
        Ok(None)
    }

    /// Returns the result of a statement, or `None` if it must be retried.
    pub(super) async fn finish(
        &mut self,
        connection: Object,
        work: Result<T, Failure>,
    ) -> Result<Option<T>, Error> {
        match work {
            Ok(result) => {
                self.count(false);
                Ok(Some(result))
            }
            Err(failure) => {
                if failure.kind() == Kind::Unreachable {
                    self.maybe_committed = true;
                    discard(connection);
                }
                self.wait_or_fail(failure).await?;
                Ok(None)
            }
        }
    }

    /// Runs `work` with a timeout, because a server that hangs and a broken network send nothing.
    pub(super) async fn with_timeout<R, E: Into<Failure>>(
        &self,
        work: impl Future<Output = Result<R, E>>,
    ) -> Result<R, Failure> {
        let timeout = self.database.options.statement_timeout * 2;
        match tokio::time::timeout(timeout, work).await {
            Ok(result) => result.map_err(Into::into),
            Err(_) => Err(Failure::Timeout),
        }
    }

    /// Waits before the next attempt. Returns an error if there must be none.
    async fn wait_or_fail(&mut self, failure: Failure) -> Result<(), Error> {
        let is_temporary = matches!(failure.kind(), Kind::Contended | Kind::Unreachable);
        if !is_temporary || Instant::now() + self.pause > self.deadline {
            self.count(failure.kind() != Kind::Full);
            // Another error, such as a full disk, would tell the caller that the step was not committed.
            if self.maybe_committed {
                return Err(Error::Unavailable(Box::new(failure)));
            }
            return Err(failure.into_error());
        }
        tracing::debug!(error = %failure, "a step failed in the database; retrying");
        self.repeated = true;
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        Ok(())
    }

    fn count(&self, failed: bool) {
        let took = self.begun.elapsed();
        self.operation.ran(took, failed);
        spent_in_database(took);
    }
}

/// Closes a connection in an unknown state instead of returning it to the pool. First waits until the database has
/// processed what it was sent. Until then the connection counts as one of the pool's: otherwise a database that hangs,
/// as commits do while a synchronous standby is missing, would get more and more connections.
fn discard(connection: Object) {
    let Ok(runtime) = Handle::try_current() else {
        drop(Object::take(connection));
        return;
    };
    runtime.spawn(async move {
        let done = connection.batch_execute("");
        let _ = tokio::time::timeout(DISCARD_TIMEOUT, done).await;
        drop(Object::take(connection));
    });
}

/// Deletes some names of steps that are no longer retried. Returns whether there may be more.
pub(super) async fn delete_old_steps(pg: &Pg) -> Result<bool, tokio_postgres::Error> {
    const LIMIT: u32 = 20_000;
    let sql = format!(
        "DELETE FROM steps WHERE name IN
             (SELECT name FROM steps WHERE taken_at < now() - interval '1 hour' LIMIT {LIMIT})"
    );
    Ok(pg.execute(&sql, &[]).await? >= LIMIT.into())
}
