//! What a database lacks to keep the records, in one line each, and how to give it that. Changes nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio_postgres::{Client, Error};

use super::options::PostgresOptions;
use super::pool;
use crate::metadata;

/// PostgreSQL 14.
const OLDEST: i32 = 140_000;
/// Clocks that differ by more make uploads expire early or late.
const CLOCKS_APART: u64 = 5;

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is as it should be.
    Good(String),
    /// It works, but something is to be known.
    Warning(String),
    /// The server would not work.
    Missing(String),
}

use Finding::{Good, Missing, Warning};

/// Looks at a database as the server would use it. Fails where it can't be reached.
pub async fn check(options: &PostgresOptions) -> Result<Vec<Finding>, metadata::Error> {
    let pool = pool::make(options, true)?;
    let unavailable = |error| metadata::Error::Unavailable(Box::new(error));
    let client = pool.get().await.map_err(unavailable)?;
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

async fn is_so(client: &Client, sql: &str) -> Result<bool, Error> {
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
    Ok(if number >= OLDEST {
        Good(format!("version: PostgreSQL {name}"))
    } else {
        Missing(format!("version: this is PostgreSQL {name}; 14 or newer is needed"))
    })
}

async fn encoding(client: &Client) -> Result<Finding, Error> {
    let encoding = text(client, "SELECT current_setting('server_encoding')").await?;
    Ok(if encoding == "UTF8" {
        Good("encoding: UTF8".into())
    } else {
        Missing(format!(
            "encoding: it is {encoding}; create the database with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
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
    let (is_there, is_available, may_create): (bool, bool, bool) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (user, database): (String, String) = (row.try_get(3)?, row.try_get(4)?);
    Ok(match (is_there, is_available, may_create) {
        (true, ..) => Good("extension: btree_gist is there".into()),
        (false, false, _) => Missing(
            "extension: btree_gist is not installed on the database's machine; Debian has it in postgresql-contrib".into(),
        ),
        (false, true, true) => Good("extension: btree_gist will be created at the first start".into()),
        (false, true, false) => Missing(format!(
            "extension: as an administrator, run in this database: CREATE EXTENSION btree_gist; \
             (or GRANT CREATE ON DATABASE \"{database}\" TO \"{user}\")"
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
            "schema: none can be used; run: CREATE SCHEMA haversack AUTHORIZATION \"{user}\"; \
             ALTER ROLE \"{user}\" SET search_path = haversack, public"
        )));
    }
    let may = is_so(client, "SELECT has_schema_privilege(current_schema(), 'CREATE')").await?;
    Ok(if may {
        Good(format!("schema: {user} may create tables in {schema}"))
    } else {
        Missing(format!("schema: run: GRANT CREATE, USAGE ON SCHEMA \"{schema}\" TO \"{user}\""))
    })
}

async fn clock(client: &Client) -> Result<Finding, Error> {
    let row = client.query_one("SELECT extract(epoch FROM clock_timestamp())::bigint", &[]).await?;
    let theirs = u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0);
    let ours = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let apart = theirs.abs_diff(ours);
    Ok(if apart <= CLOCKS_APART {
        Good("clock: it agrees with this machine's".into())
    } else {
        Warning(format!(
            "clock: the database's and this machine's differ by {apart} s; let both synchronize (NTP)"
        ))
    })
}

async fn isolation(client: &Client) -> Result<Finding, Error> {
    let level = text(client, "SELECT current_setting('transaction_isolation')").await?;
    Ok(if level == "read committed" {
        Good("isolation: read committed".into())
    } else {
        Missing(format!(
            "isolation: it is {level}; run: ALTER ROLE … SET default_transaction_isolation = 'read committed'"
        ))
    })
}

/// A pooler in between doesn't pass on what a connection begins with.
async fn pooler(client: &Client, options: &PostgresOptions) -> Result<Finding, Error> {
    let sql = "SELECT (extract(epoch FROM current_setting('statement_timeout')::interval) * 1000)::bigint";
    let timeout: i64 = client.query_one(sql, &[]).await?.try_get(0)?;
    Ok(if u128::try_from(timeout).ok() == Some(options.statement_timeout.as_millis()) {
        Good("pooler: none in between that keeps settings back".into())
    } else {
        Warning(format!(
            "pooler: something in between does not pass on statement_timeout; set it for the role: \
             ALTER ROLE … SET statement_timeout = '{}ms'",
            options.statement_timeout.as_millis()
        ))
    })
}

async fn role(client: &Client) -> Result<Finding, Error> {
    Ok(if is_so(client, "SELECT pg_is_in_recovery()").await? {
        Missing(
            "role: this is a standby, which takes no changes; name the primary, or all of them with \
             target_session_attrs=read-write in the URL"
                .into(),
        )
    } else {
        Good("role: it takes changes".into())
    })
}

async fn durability(client: &Client) -> Result<Finding, Error> {
    let off = "SELECT concat_ws(', ', CASE WHEN current_setting('fsync') = 'off' THEN 'fsync' END,
                                      CASE WHEN current_setting('synchronous_commit') = 'off' THEN 'synchronous_commit' END,
                                      CASE WHEN current_setting('full_page_writes') = 'off' THEN 'full_page_writes' END)";
    let off = text(client, off).await?;
    Ok(if off.is_empty() {
        Good("durability: what is committed survives a crash".into())
    } else {
        Warning(format!(
            "durability: acknowledged files may be lost in a crash; these are off: {off}"
        ))
    })
}

async fn connections(client: &Client, options: &PostgresOptions) -> Result<Finding, Error> {
    let most = "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int";
    let most: i32 = client.query_one(most, &[]).await?.try_get(0)?;
    let wanted = options.connections;
    Ok(if usize::try_from(most).is_ok_and(|most| wanted <= most) {
        Good(format!("connections: {wanted} of {most}"))
    } else {
        Warning(format!(
            "connections: {wanted} are wanted, and the database allows {most}; lower --database-connections or raise \
             max_connections"
        ))
    })
}
