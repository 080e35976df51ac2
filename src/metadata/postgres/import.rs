//! Moves the records of a data directory from SQLite into an empty database. Stored bytes stay where they are.
//!
//! Rows are copied in order, in batches of one transaction each, so that an interrupted import can continue. At the
//! end, rows and sums on both sides are compared.

mod tables;

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::migrate;
use super::options::PostgresOptions;
use super::pool::{self, failed};
use crate::metadata::Error;
use tables::{Column, TABLES, Table};

/// Number of rows copied in one transaction.
const BATCH_ROWS: u32 = 2000;

/// Receives the progress of an import.
pub trait Progress {
    /// This many of all rows are copied.
    fn copied(&self, rows: u64, of: u64);
}

/// The result of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The number of rows in each table, which is the same on both sides.
    pub rows: Vec<(&'static str, u64)>,
}

/// Copies the records from `haversack.db` in `data_dir`, which no server may use meanwhile. Repeating it continues
/// where it stopped, and changes nothing once everything is copied.
pub async fn import(
    data_dir: &Path,
    options: &PostgresOptions,
    progress: &dyn Progress,
) -> Result<Imported, Error> {
    let from = data_dir.join("haversack.db");
    let source = Connection::open_with_flags(&from, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|error| failed(format!("{}: {error}", from.display())))?;
    let pool = pool::make(options)?;
    migrate::run(&pool).await?;
    let mut client = pool.get().await.map_err(pool::unavailable)?;
    client.batch_execute("SET statement_timeout = 0").await.map_err(failed)?;
    require_same_store(&source, &client).await?;
    let mut all = 0;
    for table in TABLES {
        all += count(&source, table)?;
    }
    let mut copied = 0;
    for table in TABLES {
        copied +=
            copy(&source, &mut client, table, |rows| progress.copied(copied + rows, all)).await?;
    }
    client.batch_execute(tables::SUMS).await.map_err(failed)?;
    compare(&source, &client).await
}

/// Returns an error if the database contains any other records.
async fn require_same_store(source: &Connection, client: &Client) -> Result<(), Error> {
    let ours: [u8; 16] =
        source.query_row("SELECT id FROM store", (), |row| row.get(0)).map_err(failed)?;
    let theirs = client.query_opt("SELECT id FROM store", &[]).await.map_err(failed)?;
    let theirs: Option<uuid::Uuid> = theirs.map(|row| row.get(0));
    match theirs {
        Some(id) if id.into_bytes() != ours => {
            Err(failed("the database contains the records of another data directory"))
        }
        Some(_) => Ok(()),
        None => {
            let used = "SELECT 1 FROM uploads UNION ALL SELECT 1 FROM erased LIMIT 1";
            if client.query_opt(used, &[]).await.map_err(failed)?.is_some() {
                return Err(failed("the database must be empty, but contains other records"));
            }
            Ok(())
        }
    }
}

fn count(source: &Connection, table: &Table) -> Result<u64, Error> {
    let sql = format!("SELECT count(*) FROM {}", table.name);
    source.query_row(&sql, (), |row| row.get(0)).map_err(failed)
}

/// Copies the missing rows of a table. Returns how many rows the table has.
async fn copy(
    source: &Connection,
    client: &mut Client,
    table: &Table,
    report: impl Fn(u64),
) -> Result<u64, Error> {
    let count = count(source, table)?;
    let done = format!("SELECT count(*) FROM {}", table.name);
    let done: i64 = client.query_one(&done, &[]).await.map_err(failed)?.get(0);
    // Rows are copied in order, so those that exist are the first ones.
    let mut done = u64::try_from(done).unwrap_or(0);
    let names: Vec<&str> = table.columns.iter().map(|column| column.from).collect();
    let read = format!(
        "SELECT {} FROM {} ORDER BY {} LIMIT {BATCH_ROWS} OFFSET ?",
        names.join(", "),
        table.name,
        table.order
    );
    let write = table.insert();
    while done < count {
        let rows = rows(source, &read, done, table.columns)?;
        if rows.is_empty() {
            return Err(failed("the records changed while they were copied"));
        }
        let transaction = client.transaction().await.map_err(failed)?;
        let insert = transaction.prepare(&write).await.map_err(failed)?;
        let inserts = rows.iter().map(|row| {
            let values: Vec<&(dyn ToSql + Sync)> =
                row.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
            let (transaction, insert) = (&transaction, &insert);
            async move { transaction.execute(insert, &values).await }
        });
        for inserted in futures_util::future::join_all(inserts).await {
            inserted.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
        done += rows.len() as u64;
        report(done);
    }
    Ok(count)
}

type Row = Vec<Box<dyn ToSql + Sync + Send>>;

fn rows(
    source: &Connection,
    sql: &str,
    offset: u64,
    columns: &[Column],
) -> Result<Vec<Row>, Error> {
    let mut statement = source.prepare_cached(sql).map_err(failed)?;
    let read = |row: &rusqlite::Row<'_>| {
        columns.iter().enumerate().map(|(at, column)| column.read(row, at)).collect()
    };
    let rows = statement.query_map([offset], read).map_err(failed)?;
    rows.collect::<rusqlite::Result<_>>().map_err(failed)
}

/// Compares the numbers of rows and the sums on both sides.
async fn compare(source: &Connection, client: &Client) -> Result<Imported, Error> {
    let mut rows = Vec::new();
    for table in TABLES {
        let sql = format!("SELECT count(*) FROM {}", table.name);
        let ours: i64 = source.query_row(&sql, (), |row| row.get(0)).map_err(failed)?;
        let theirs: i64 = client.query_one(&sql, &[]).await.map_err(failed)?.get(0);
        if ours != theirs {
            let name = table.name;
            return Err(failed(format!(
                "{name}: {ours} rows in SQLite, but {theirs} in PostgreSQL"
            )));
        }
        rows.push((table.name, u64::try_from(ours).unwrap_or(0)));
    }
    for (what, sql) in tables::COMPARED {
        let ours: i64 =
            source.query_row(&sql.replace("::bigint", ""), (), |row| row.get(0)).map_err(failed)?;
        let theirs: i64 = client.query_one(*sql, &[]).await.map_err(failed)?.get(0);
        if ours != theirs {
            return Err(failed(format!("{what}: {ours} in SQLite, but {theirs} in PostgreSQL")));
        }
    }
    Ok(Imported { rows })
}
