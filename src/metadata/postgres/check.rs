//! Checks whether a database meets the server's requirements, and says how to meet those that are missing. Changes
//! nothing.

use tokio_postgres::{Client, Error};

use super::options::PostgresOptions;
use super::{clock, pool};
use crate::metadata;

/// PostgreSQL 14.
const MIN_VERSION: i32 = 140_000;
/// If clocks differ by more, uploads expire noticeably early or late.
const CLOCK_WARNING_SECS: u64 = 5;

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The requirement is met.
    Good(String),
    /// The server works, but the operator should know of this.
    Warning(String),
    /// The server would not work.
    Missing(String),
}

use Finding::{Good, Missing, Warning};

/// Checks a database as the server would use it. Returns an error if it can't be reached.
pub async fn check(options: &PostgresOptions) -> Result<Vec<Finding>, metadata::Error> {
    let pool = pool::make(options)?;
    let client = pool.get().await.map_err(pool::unavailable)?;
    let found = async {
        Ok::<_, Error>(vec![
            version(&client).await?,
            encoding(&client).await?,
            extension(&client).await?,
            schema(&client).await?,
            clock(&client).await?,
            isolation(&client).await?,
            pooler(&client, options).await?,
            role(&client).await?,
            durability(&client).await?,
            connections(&client, options).await?,
        ])
    };
    found.await.map_err(pool::failed)
}

async fn text(client: &Client, sql: &str) -> Result<String, Error> {
    client.query_one(sql, &[]).await?.try_get(0)
}

async fn query_bool(client: &Client, sql: &str) -> Result<bool, Error> {
    client.query_one(sql, &[]).await?.try_get(0)
}

async fn version(client: &Client) -> Result<Finding, Error> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::int, current_setting('server_version')",
            &[],
        )
        .await?;
    let (number, name): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
    Ok(if number >= MIN_VERSION {
        Good(format!("version: PostgreSQL {name}"))
    } else {
        Missing(format!("version: PostgreSQL {name} is too old; 14 or newer is required"))
    })
}

async fn encoding(client: &Client) -> Result<Finding, Error> {
    let encoding = text(client, "SELECT current_setting('server_encoding')").await?;
    Ok(if encoding == "UTF8" {
        Good("encoding: UTF8".into())
    } else {
        Missing(format!(
            "encoding: {encoding} is not supported; create the database with \
             CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        ))
    })
}

async fn extension(client: &Client) -> Result<Finding, Error> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'btree_gist'),
                    EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'btree_gist'),
                    has_database_privilege(current_database(), 'CREATE'), current_user::text, current_database()::text",
            &[],
        )
        .await?;
    let (is_installed, is_available, may_create): (bool, bool, bool) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (user, database): (String, String) = (row.try_get(3)?, row.try_get(4)?);
    Ok(match (is_installed, is_available, may_create) {
        (true, ..) => Good("extension: btree_gist is installed".into()),
        (false, false, _) => Missing(
            "extension: btree_gist is not available on the database server; on Debian, install postgresql-contrib".into(),
        ),
        (false, true, true) => Good("extension: btree_gist will be created at the first start".into()),
        (false, true, false) => Missing(format!(
            "extension: btree_gist is missing; as an administrator, run in this database: \
             CREATE EXTENSION btree_gist (or GRANT CREATE ON DATABASE \"{database}\" TO \"{user}\")"
        )),
    })
}

async fn schema(client: &Client) -> Result<Finding, Error> {
    let row = client
        .query_one("SELECT coalesce(current_schema()::text, ''), current_user::text", &[])
        .await?;
    let (schema, user): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    if schema.is_empty() {
        return Ok(Missing(format!(
            "schema: search_path contains no usable schema; run: CREATE SCHEMA haversack AUTHORIZATION \"{user}\"; \
             ALTER ROLE \"{user}\" SET search_path = haversack, public"
        )));
    }
    let may_create =
        query_bool(client, "SELECT has_schema_privilege(current_schema(), 'CREATE')").await?;
    Ok(if may_create {
        Good(format!("schema: {user} may create tables in {schema}"))
    } else {
        Missing(format!(
            "schema: {user} may not create tables in {schema}; run: \
             GRANT CREATE, USAGE ON SCHEMA \"{schema}\" TO \"{user}\""
        ))
    })
}

async fn clock(client: &Client) -> Result<Finding, Error> {
    let difference = clock::difference_secs(client).await?;
    Ok(if difference <= CLOCK_WARNING_SECS {
        Good("clock: agrees with this machine's clock".into())
    } else {
        Warning(format!(
            "clock: differs from this machine's clock by {difference} s; synchronize both (NTP). Nothing expires while \
             they differ by more than {} s",
            clock::MAX_DIFFERENCE_SECS
        ))
    })
}

async fn isolation(client: &Client) -> Result<Finding, Error> {
    let level = text(client, "SELECT current_setting('transaction_isolation')").await?;
    Ok(if level == "read committed" {
        Good("isolation: read committed".into())
    } else {
        Missing(format!(
            "isolation: {level} is not supported; run: ALTER ROLE … SET default_transaction_isolation = 'read committed'"
        ))
    })
}

/// A connection pooler may ignore the settings that the server requests for a connection.
async fn pooler(client: &Client, options: &PostgresOptions) -> Result<Finding, Error> {
    let sql = "SELECT (extract(epoch FROM current_setting('statement_timeout')::interval) * 1000)::bigint";
    let timeout: i64 = client.query_one(sql, &[]).await?.try_get(0)?;
    Ok(if u128::try_from(timeout).ok() == Some(options.statement_timeout.as_millis()) {
        Good("pooler: the settings of connections are applied".into())
    } else {
        Warning(format!(
            "pooler: a connection pooler ignores statement_timeout; set it for the role: \
             ALTER ROLE … SET statement_timeout = '{}ms'",
            options.statement_timeout.as_millis()
        ))
    })
}

async fn role(client: &Client) -> Result<Finding, Error> {
    Ok(if query_bool(client, "SELECT pg_is_in_recovery()").await? {
        Missing(
            "role: this is a standby, which accepts no changes; name the primary, or all hosts with \
             target_session_attrs=read-write in the URL"
                .into(),
        )
    } else {
        Good("role: accepts changes".into())
    })
}

async fn durability(client: &Client) -> Result<Finding, Error> {
    let off = "SELECT concat_ws(', ', CASE WHEN current_setting('fsync') = 'off' THEN 'fsync' END,
                                      CASE WHEN current_setting('synchronous_commit') = 'off' THEN 'synchronous_commit' END,
                                      CASE WHEN current_setting('full_page_writes') = 'off' THEN 'full_page_writes' END)";
    let off = text(client, off).await?;
    Ok(if off.is_empty() {
        Good("durability: committed data survives a crash".into())
    } else {
        Warning(format!(
            "durability: acknowledged files may be lost in a crash, because these settings are off: {off}"
        ))
    })
}

async fn connections(client: &Client, options: &PostgresOptions) -> Result<Finding, Error> {
    let max = "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int";
    let max: i32 = client.query_one(max, &[]).await?.try_get(0)?;
    let wanted = options.connections;
    Ok(if usize::try_from(max).is_ok_and(|max| wanted <= max) {
        Good(format!("connections: up to {wanted} of {max}"))
    } else {
        Warning(format!(
            "connections: the server opens up to {wanted}, but the database allows {max}; lower --database-connections or \
             raise max_connections"
        ))
    })
}
