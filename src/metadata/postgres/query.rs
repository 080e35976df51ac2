//! Runs statements. Each is prepared once per connection.

use tokio_postgres::{Error, Row};

use super::attempts::Pg;
pub(super) use super::values::Values;

/// Returns all rows.
pub(super) async fn rows(pg: &Pg, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Error> {
    let statement = pg.prepare_cached(sql).await?;
    pg.query(&statement, values).await
}

/// Returns the row, if there is one.
pub(super) async fn row(pg: &Pg, sql: &str, values: Values<'_>) -> Result<Option<Row>, Error> {
    let statement = pg.prepare_cached(sql).await?;
    pg.query_opt(&statement, values).await
}

/// Returns the row of a statement that always returns one.
pub(super) async fn one(pg: &Pg, sql: &str, values: Values<'_>) -> Result<Row, Error> {
    let statement = pg.prepare_cached(sql).await?;
    pg.query_one(&statement, values).await
}

/// Whether the statement returns a row.
pub(super) async fn exists(pg: &Pg, sql: &str, values: Values<'_>) -> Result<bool, Error> {
    Ok(row(pg, sql, values).await?.is_some())
}

/// Runs a statement, and returns how many rows it changed.
pub(super) async fn execute(pg: &Pg, sql: &str, values: Values<'_>) -> Result<u64, Error> {
    let statement = pg.prepare_cached(sql).await?;
    pg.execute(&statement, values).await
}
