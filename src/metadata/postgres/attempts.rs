//! Attempts at a step: what failed for a reason that passes is repeated, within a bound.
//!
//! A connection may be lost between a commit and its reply. So each step puts a random name on record with what it
//! changes: where that name is there already, the attempt before was committed, and its answer is the answer. If that
//! attempt isn't over yet, recording the name waits for it.

use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object, Pool, PoolError, Timeouts};
use tokio::time::Instant;
use uuid::Uuid;

use super::options::PostgresOptions;
use super::pool::{Kind, kind};
use super::values::Values;
use crate::metadata::Error;
use crate::metrics::{DatabaseMetrics, OperationMetrics};
use crate::telemetry::Spent;

/// A connection, as steps use it.
pub(super) type Pg = ClientWrapper;

/// What attempts need.
pub(super) struct Database {
    pub(super) pool: Pool,
    pub(super) options: PostgresOptions,
    pub(super) metrics: DatabaseMetrics,
}

impl Database {
    /// The same for whoever must answer soon, also while the database doesn't: within three seconds.
    pub(super) fn in_haste(&self) -> Self {
        let options = PostgresOptions {
            patience: self.options.patience.min(Duration::from_secs(1)),
            statement_timeout: self.options.statement_timeout.min(Duration::from_millis(500)),
            ..self.options.clone()
        };
        Self { pool: self.pool.clone(), options, metrics: self.metrics.clone() }
    }
}

/// The pause before the second attempt; each one after it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Takes a step in a transaction, and again while it fails for a reason that passes.
macro_rules! step {
    ($database:expr, $tx:ident => $work:expr) => {{
        let mut attempts = crate::metadata::postgres::attempts::Attempts::begin(
            &$database.metrics.write,
            $database,
        );
        loop {
            match attempts.open().await? {
                Err(committed) => break Ok(committed),
                Ok(transaction) => {
                    let $tx = &*transaction;
                    let work = attempts.in_time($work).await;
                    if let Some(answer) = attempts.commit(transaction, work).await? {
                        break Ok(answer);
                    }
                }
            }
        }
    }};
}
pub(super) use step;

/// Runs one statement, which is a transaction of its own, or a few that only read, and again while they fail for a
/// reason that passes. `$again` is whether an attempt before may have been committed.
macro_rules! statement {
    ($operation:ident, $database:expr, |$tx:ident, $again:ident| $work:expr) => {{
        let mut attempts = crate::metadata::postgres::attempts::Attempts::begin(
            &$database.metrics.$operation,
            $database,
        );
        loop {
            let connection = attempts.connection().await?;
            let ($tx, $again) = (&*connection, attempts.is_repeated());
            let _ = $again;
            let work = attempts.in_time($work).await;
            if let Some(answer) = attempts.end(connection, work).await? {
                break Ok(answer);
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
    /// Another transaction was in the way.
    #[error("another transaction was in the way")]
    Again,
    #[error("the database did not answer in time")]
    Late,
    /// The files of these records are in another server's data directory.
    #[error(
        "another server keeps the files of these records in its data directory: with a database, only a data directory \
         that contains node-id and blobs of that server can be used"
    )]
    OthersFolder,
    /// What must be new isn't.
    #[error("there is an upload with the uuid of a new one")]
    Taken,
    #[error(transparent)]
    Pool(PoolError),
}

impl Failure {
    fn kind(&self) -> Kind {
        match self {
            Self::Database(error) | Self::Pool(PoolError::Backend(error)) => kind(error),
            Self::Again => Kind::Contended,
            Self::OthersFolder | Self::Taken => Kind::Permanent,
            Self::Late | Self::Pool(_) => Kind::Unreachable,
        }
    }

    fn into_error(self) -> Error {
        match self.kind() {
            Kind::Full => Error::Full(Box::new(self)),
            Kind::Contended | Kind::Unreachable => Error::Unavailable(Box::new(self)),
            Kind::Permanent => Error::Failed(Box::new(self)),
        }
    }
}

/// A connection with a transaction begun. Dropped before its end, as when nobody waits for the step any more, it is
/// closed: the database rolls the transaction back, and nobody else gets a connection in the middle of one.
pub(super) struct Transaction(Option<Object>);

impl std::ops::Deref for Transaction {
    type Target = Pg;

    fn deref(&self) -> &Pg {
        self.0.as_ref().expect("a connection is there until its transaction has ended")
    }
}

impl Transaction {
    /// Gives the connection back, whose transaction has ended.
    fn ended(mut self) {
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
    begun: Instant,
    deadline: Instant,
    pause: Duration,
    repeated: bool,
    name: Uuid,
    /// What the last attempt came to, where it isn't known whether it was committed.
    in_doubt: Option<T>,
    /// Whether it isn't known of some attempt.
    doubtful: bool,
}

impl<'a, T> Attempts<'a, T> {
    pub(super) fn begin(operation: &'a OperationMetrics, database: &'a Database) -> Self {
        let begun = Instant::now();
        Self {
            database,
            operation,
            begun,
            deadline: begun + database.options.patience,
            pause: FIRST_PAUSE,
            repeated: false,
            name: Uuid::new_v4(),
            in_doubt: None,
            doubtful: false,
        }
    }

    /// Whether there was an attempt before.
    pub(super) fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// A connection; waits for one while there is hope.
    pub(super) async fn connection(&mut self) -> Result<Object, Error> {
        loop {
            let bound = Some(self.database.options.patience);
            let timeouts = Timeouts { wait: bound, create: bound, recycle: bound };
            match self.database.pool.timeout_get(&timeouts).await {
                Ok(connection) => return Ok(connection),
                Err(error) => self.wait(Failure::Pool(error)).await?,
            }
        }
    }

    /// A connection with a transaction begun; or what the attempt before came to, if that was committed.
    pub(super) async fn open(&mut self) -> Result<Result<Transaction, T>, Error> {
        loop {
            let connection = Transaction(Some(self.connection().await?));
            let is_new = async {
                let record = connection
                    .prepare_cached("INSERT INTO steps (name) VALUES ($1) ON CONFLICT DO NOTHING")
                    .await?;
                // One after the other, in one round trip.
                let begin = connection.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED");
                let name: Values<'_> = &[&self.name];
                let ((), recorded) = tokio::try_join!(begin, connection.execute(&record, name))?;
                Ok::<_, tokio_postgres::Error>(recorded > 0)
            };
            match self.in_time(is_new).await {
                Ok(true) => {
                    (self.in_doubt, self.doubtful) = (None, false);
                    return Ok(Ok(connection));
                }
                Ok(false) => match self.in_doubt.take() {
                    Some(answer) => {
                        self.count(false);
                        return Ok(Err(answer));
                    }
                    None => self.name = Uuid::new_v4(),
                },
                Err(error) => {
                    drop(connection);
                    self.wait(error).await?;
                }
            }
        }
    }

    /// Commits; `None`: the step is to be taken again.
    pub(super) async fn commit(
        &mut self,
        transaction: Transaction,
        work: Result<T, Failure>,
    ) -> Result<Option<T>, Error> {
        let failure = match work {
            Err(failure) => failure,
            Ok(answer) => {
                self.in_doubt = Some(answer);
                let committed = transaction.batch_execute("COMMIT");
                match self.in_time(committed).await {
                    Ok(()) => {
                        transaction.ended();
                        self.count(false);
                        return Ok(self.in_doubt.take());
                    }
                    Err(failure) => {
                        self.doubtful = failure.kind() == Kind::Unreachable;
                        failure
                    }
                }
            }
        };
        drop(transaction);
        self.wait(failure).await?;
        Ok(None)
    }

    /// The answer of a statement; `None`: it is to be run again.
    pub(super) async fn end(
        &mut self,
        connection: Object,
        work: Result<T, Failure>,
    ) -> Result<Option<T>, Error> {
        match work {
            Ok(answer) => {
                self.count(false);
                Ok(Some(answer))
            }
            Err(failure) => {
                if failure.kind() == Kind::Unreachable {
                    self.doubtful = true;
                    discard(connection);
                }
                self.wait(failure).await?;
                Ok(None)
            }
        }
    }

    /// Runs work against the clock: a server that hangs, or a network that swallows everything, says nothing.
    pub(super) async fn in_time<R, E: Into<Failure>>(
        &self,
        work: impl Future<Output = Result<R, E>>,
    ) -> Result<R, Failure> {
        let most = self.database.options.statement_timeout * 2;
        match tokio::time::timeout(most, work).await {
            Ok(result) => result.map_err(Into::into),
            Err(_) => Err(Failure::Late),
        }
    }

    /// Waits before the next attempt; fails when there is to be none.
    async fn wait(&mut self, failure: Failure) -> Result<(), Error> {
        let passes = matches!(failure.kind(), Kind::Contended | Kind::Unreachable);
        if !passes || Instant::now() + self.pause > self.deadline {
            self.count(failure.kind() != Kind::Full);
            // Whoever is told that the disk is full, say, takes the step for one that was not taken.
            if self.doubtful {
                return Err(Error::Unavailable(Box::new(failure)));
            }
            return Err(failure.into_error());
        }
        tracing::debug!(error = %failure, "the database failed; trying again");
        self.repeated = true;
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }

    fn count(&self, failed: bool) {
        let took = self.begun.elapsed();
        self.operation.ran(took, failed);
        Spent::in_database(took);
    }
}

/// Closes a connection whose state nobody knows, instead of giving it back.
fn discard(connection: Object) {
    drop(Object::take(connection));
}

/// Forgets names of steps that nobody repeats any more.
pub(super) async fn forget_old_names(pg: &Pg) -> Result<(), tokio_postgres::Error> {
    let sql = "DELETE FROM steps WHERE name IN
                   (SELECT name FROM steps WHERE taken_at < now() - interval '1 hour' LIMIT 20000)";
    pg.execute(sql, &[]).await.map(drop)
}
