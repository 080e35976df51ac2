//! Applies migrations: each once, however many servers start at the same time.

use std::collections::BTreeMap;

use deadpool_postgres::Pool;
use refinery::Migration;
use tokio_postgres::error::SqlState;

use super::pool::{failed, unavailable};
use crate::metadata::Error;
use crate::telemetry::chain;

mod embedded {
    refinery::embed_migrations!("migrations/postgres");
}

/// Key of the advisory lock that is held while migrating.
const LOCK: i64 = 0x6861_7665_7273_6163; // "haversac"

/// Applies the missing migrations. Migrations only add things, so migrations of a newer version are accepted: both
/// versions may run side by side.
pub(super) async fn run(pool: &Pool) -> Result<(), Error> {
    let mut client = pool.get().await.map_err(unavailable)?;
    let transaction = client.build_transaction().start().await.map_err(failed)?;
    // A lock of the transaction, because a pooler could give a lock of the session to others. There is no timeout,
    // because another server may be migrating a large table.
    transaction
        .batch_execute(&format!(
            "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({LOCK});
             CREATE TABLE IF NOT EXISTS migrations (version bigint PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
                 applied_at timestamptz NOT NULL DEFAULT now())"
        ))
        .await
        .map_err(refused)?;
    let rows = transaction.query("SELECT version, checksum FROM migrations", &[]).await;
    let applied = rows.map_err(failed)?.iter().map(|row| (row.get(0), row.get(1))).collect();
    for migration in pending(&applied)? {
        transaction.batch_execute(migration.sql().unwrap_or_default()).await.map_err(refused)?;
        let (version, checksum) =
            (i64::from(migration.version()), migration.checksum().to_string());
        let record = "INSERT INTO migrations (version, name, checksum) VALUES ($1, $2, $3)";
        let values: super::query::Values<'_> = &[&version, &migration.name(), &checksum];
        transaction.execute(record, values).await.map_err(failed)?;
        tracing::info!(%migration, "applied a database migration");
    }
    transaction.commit().await.map_err(failed)
}

/// Returns an error unless all migrations of this version are applied. Changes nothing.
pub(super) async fn verify(pool: &Pool) -> Result<(), Error> {
    let client = pool.get().await.map_err(unavailable)?;
    let exists = client.query_one("SELECT to_regclass('migrations') IS NOT NULL", &[]).await;
    if !exists.map_err(failed)?.get::<_, bool>(0) {
        return Err(failed("no server has used this database yet"));
    }
    let rows = client.query("SELECT version, checksum FROM migrations", &[]).await;
    let applied = rows.map_err(failed)?.iter().map(|row| (row.get(0), row.get(1))).collect();
    if pending(&applied)?.is_empty() {
        return Ok(());
    }
    Err(failed(
        "the database has an older version: start the server once, or use the version of haversack that the server \
         runs",
    ))
}

/// Returns the missing migrations, in order. Returns an error if an applied migration differs from ours.
fn pending(applied: &BTreeMap<i64, String>) -> Result<Vec<Migration>, Error> {
    let mut ours = embedded::migrations::runner().get_migrations().clone();
    ours.sort_by_key(Migration::version);
    let mut pending = Vec::new();
    for migration in ours {
        match applied.get(&i64::from(migration.version())) {
            None => pending.push(migration),
            Some(checksum) if *checksum == migration.checksum().to_string() => {}
            Some(_) => {
                return Err(failed(format!(
                    "migration {migration} of the database differs from that of this version of haversack"
                )));
            }
        }
    }
    Ok(pending)
}

/// Why tables can't be made.
fn refused(error: tokio_postgres::Error) -> Error {
    match error.code() {
        Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => {
            failed("the database accepts no changes: it is a standby, or set to be read only")
        }
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            failed(format!("{}; `haversack check` says what to grant", chain(&error)))
        }
        _ => failed(error),
    }
}
