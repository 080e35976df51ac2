//! Running statements, each prepared once a connection.

use tokio_postgres::{Error, Row};

use super::attempts::Pg;
pub(super) use super::values::Values;

/// All rows.
pub(super) async fn rows(pg: &Pg, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Error> {
    let statement = pg.prepare_cached(sql).await?;
    pg.query(&statement, values).await
}

/// The row, if there is one.
pub(super) async fn row(pg: &Pg, sql: &str, values: Values<'_>) -> Result<Option<Row>, Error> {
    let statement = pg.prepare_cached(sql).await?;
    pg.query_opt(&statement, values).await
}

/// The row, of which there is always one.
pub(super) async fn one(pg: &Pg, sql: &str, values: Values<'_>) -> Result<Row, Error> {
    let statement = pg.prepare_cached(sql).await?;
    pg.query_one(&statement, values).await
}

/// Whether there is a row.
pub(super) async fn exists(pg: &Pg, sql: &str, values: Values<'_>) -> Result<bool, Error> {
    Ok(row(pg, sql, values).await?.is_some())
}

/// Changes rows, and returns how many.
pub(super) async fn execute(pg: &Pg, sql: &str, values: Values<'_>) -> Result<u64, Error> {
    let statement = pg.prepare_cached(sql).await?;
    pg.execute(&statement, values).await
}
