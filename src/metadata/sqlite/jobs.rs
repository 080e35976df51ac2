//! The table of jobs: recording, turns, leases and outcomes.

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use crate::ids::{JobId, LeaseId, UserId};
use crate::metadata::jobs::{
    Job, JobCount, JobKind, JobState, JobStatus, LONGEST_PAUSE, MAX_DEATHS, NewJob, Outcome,
};

/// Adds a job unless there is one with its kind and subject.
///
/// Its round is the one after the user's last waiting job, but at least the first round in which other jobs wait. So a
/// user with many jobs doesn't delay the jobs of others.
pub(super) fn add(tx: &Connection, job: &NewJob) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT OR IGNORE INTO jobs (id, kind, subject, user_id, payload, run_at, round)
         VALUES (:id, :kind, :subject, :user, :payload, :run_at,
                 max(coalesce((SELECT round FROM jobs WHERE kind = :kind AND set_aside = 0
                               ORDER BY round LIMIT 1), 0),
                     coalesce((SELECT round + 1 FROM jobs
                               WHERE kind = :kind AND user_id = :user AND set_aside = 0
                               ORDER BY round DESC LIMIT 1), 0)))",
    )?
    .execute(named_params! {
        ":id": JobId::random(),
        ":kind": job.kind.name(),
        ":subject": job.subject,
        ":user": job.user,
        ":payload": job.payload,
        ":run_at": job.run_at,
    })?;
    Ok(())
}

/// Forgets a job that is no longer needed. Returns whether there was one; if `lease` is given, only a job that it
/// holds.
pub(super) fn forget(
    tx: &Connection,
    kind: JobKind,
    subject: [u8; 16],
    lease: Option<LeaseId>,
) -> rusqlite::Result<bool> {
    let forgotten = tx
        .prepare_cached(
            "DELETE FROM jobs WHERE kind = ?1 AND subject = ?2 AND (?3 IS NULL OR lease = ?3)",
        )?
        .execute(params![kind.name(), subject, lease])?;
    Ok(forgotten > 0)
}

/// Forgets a job that is no longer needed. If somebody holds it, it stays, and its holder will notice.
pub(super) fn forget_unheld(
    tx: &Connection,
    kind: JobKind,
    subject: [u8; 16],
    now: u64,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "DELETE FROM jobs
         WHERE kind = ? AND subject = ? AND (lease IS NULL OR leased_until <= ?)",
    )?
    .execute(params![kind.name(), subject, now])?;
    Ok(())
}

/// Forgets a user's remaining jobs on uploads that are gone.
pub(super) fn forget_user(tx: &Connection, user: &UserId) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "DELETE FROM jobs
         WHERE user_id = ? AND NOT EXISTS (SELECT 1 FROM uploads WHERE id = subject AND state = 1)",
    )?
    .execute([user])?;
    Ok(())
}

/// Takes the lease of a job that this transaction has added.
pub(super) fn lease(
    tx: &Connection,
    kind: JobKind,
    subject: [u8; 16],
    leased_until: u64,
) -> rusqlite::Result<Option<Job>> {
    let n: Option<i64> = tx
        .prepare_cached(
            "SELECT n FROM jobs WHERE kind = ? AND subject = ? AND lease IS NULL AND set_aside = 0",
        )?
        .query_row(params![kind.name(), subject], |row| row.get(0))
        .optional()?;
    n.map(|n| hold(tx, n, kind, leased_until)).transpose()
}

pub(super) fn take(
    tx: &Connection,
    kinds: &[JobKind],
    passed_over: &str,
    limit: u32,
    now: u64,
    leased_until: u64,
) -> rusqlite::Result<Vec<Job>> {
    let mut taken = Vec::new();
    for kind in kinds {
        while taken.len() < limit as usize {
            let Some((n, is_held, deaths)) = next_due(tx, *kind, passed_over, now)? else { break };
            if is_held && deaths + 1 >= MAX_DEATHS {
                set_aside(tx, n, *kind)?;
                continue;
            }
            if is_held {
                tx.prepare_cached("UPDATE jobs SET deaths = deaths + 1 WHERE n = ?")?
                    .execute([n])?;
            }
            taken.push(hold(tx, n, *kind, leased_until)?);
        }
    }
    Ok(taken)
}

/// Whether any job is due.
pub(super) fn any_due(
    connection: &Connection,
    kinds: &[JobKind],
    passed_over: &str,
    now: u64,
) -> rusqlite::Result<bool> {
    for kind in kinds {
        if next_due(connection, *kind, passed_over, now)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the next due job: its number, whether a lease of it has just ended, and how often that happened before.
fn next_due(
    tx: &Connection,
    kind: JobKind,
    passed_over: &str,
    now: u64,
) -> rusqlite::Result<Option<(i64, bool, u32)>> {
    tx.prepare_cached(
        "SELECT n, lease IS NOT NULL, deaths FROM jobs
         WHERE kind = ?1 AND set_aside = 0 AND (run_at <= ?2 OR run_at > ?2 + ?4)
           AND (lease IS NULL OR leased_until <= ?2)
           AND (user_id IS NULL OR user_id NOT IN (SELECT value FROM json_each(?3)))
         ORDER BY round, n LIMIT 1",
    )?
    .query_row(params![kind.name(), now, passed_over, LONGEST_PAUSE.as_secs()], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })
    .optional()
}

fn hold(tx: &Connection, n: i64, kind: JobKind, leased_until: u64) -> rusqlite::Result<Job> {
    tx.prepare_cached(
        "UPDATE jobs SET lease = ?2, leased_until = ?3 WHERE n = ?1
         RETURNING id, subject, user_id, payload, lease, deaths, failures",
    )?
    .query_row(params![n, LeaseId::random(), leased_until], |row| {
        Ok(Job {
            id: row.get(0)?,
            kind,
            subject: row.get(1)?,
            user: row.get(2)?,
            payload: row.get(3)?,
            lease: row.get(4)?,
            deaths: row.get(5)?,
            failures: row.get(6)?,
        })
    })
}

fn set_aside(tx: &Connection, n: i64, kind: JobKind) -> rusqlite::Result<()> {
    let (id, subject): (JobId, [u8; 16]) = tx
        .prepare_cached(
            "UPDATE jobs SET set_aside = 1, deaths = deaths + 1, lease = NULL, leased_until = NULL,
                    error = 'the process ended each time while this ran'
             WHERE n = ? RETURNING id, subject",
        )?
        .query_row([n], |row| Ok((row.get(0)?, row.get(1)?)))?;
    kind.log_set_aside(id, subject);
    Ok(())
}

pub(super) fn renew(
    tx: &Connection,
    id: JobId,
    lease: LeaseId,
    leased_until: u64,
) -> rusqlite::Result<bool> {
    let renewed = tx
        .prepare_cached("UPDATE jobs SET leased_until = ?3 WHERE id = ?1 AND lease = ?2")?
        .execute(params![id, lease, leased_until])?;
    Ok(renewed > 0)
}

pub(super) fn settle(
    tx: &Connection,
    id: JobId,
    lease: LeaseId,
    outcome: &Outcome,
) -> rusqlite::Result<bool> {
    let settled = match outcome {
        Outcome::Done => tx
            .prepare_cached("DELETE FROM jobs WHERE id = ? AND lease = ?")?
            .execute(params![id, lease])?,
        Outcome::Returned => tx
            .prepare_cached(
                "UPDATE jobs SET lease = NULL, leased_until = NULL WHERE id = ? AND lease = ?",
            )?
            .execute(params![id, lease])?,
        Outcome::Failed { error, retry_at } => tx
            .prepare_cached(
                "UPDATE jobs SET lease = NULL, leased_until = NULL, deaths = 0, failures = failures + 1,
                        error = ?3, run_at = ?4
                 WHERE id = ?1 AND lease = ?2",
            )?
            .execute(params![id, lease, error, retry_at])?,
        Outcome::Again { run_at } => tx
            .prepare_cached(
                "UPDATE jobs SET lease = NULL, leased_until = NULL, deaths = 0, failures = 0, error = NULL,
                        run_at = ?3
                 WHERE id = ?1 AND lease = ?2",
            )?
            .execute(params![id, lease, run_at])?,
    };
    Ok(settled > 0)
}

pub(super) fn any_running(
    connection: &Connection,
    kind: JobKind,
    user: Option<&UserId>,
    now: u64,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM jobs
             WHERE kind = ?1 AND set_aside = 0 AND leased_until > ?3 AND (?2 IS NULL OR user_id = ?2)",
        )?
        .exists(params![kind.name(), user, now])
}

pub(super) fn count(
    connection: &Connection,
    kind: JobKind,
    user: &UserId,
    at_most: u32,
) -> rusqlite::Result<u32> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM
                (SELECT 1 FROM jobs WHERE kind = ? AND user_id = ? AND set_aside = 0 LIMIT ?)",
        )?
        .query_row(params![kind.name(), user, at_most], |row| row.get(0))
}

pub(super) fn list(
    connection: &Connection,
    after: u64,
    limit: u32,
    now: u64,
) -> rusqlite::Result<(Vec<JobStatus>, Option<u64>)> {
    let mut statement = connection.prepare_cached(
        "SELECT n, id, kind, subject, user_id, run_at, coalesce(leased_until > ?3, 0) AS running, deaths, failures,
                set_aside, error
         FROM jobs WHERE n > ?1 ORDER BY n LIMIT ?2",
    )?;
    let rows = statement
        .query_map(params![after, limit, now], |row| Ok((row.get::<_, u64>("n")?, status(row)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let next = rows.last().map(|(n, _)| *n);
    Ok((rows.into_iter().map(|(_, status)| status).collect(), next))
}

fn status(row: &Row<'_>) -> rusqlite::Result<JobStatus> {
    let subject: [u8; 16] = row.get("subject")?;
    let kind: String = row.get("kind")?;
    let upload = JobKind::parse(&kind).and_then(|kind| kind.upload(subject));
    Ok(JobStatus {
        id: row.get::<_, JobId>("id")?.to_string(),
        kind,
        upload: upload.map(|upload| upload.to_string()),
        user: row.get("user_id")?,
        subject: format!("{:032x}", u128::from_be_bytes(subject)),
        run_at: row.get("run_at")?,
        running: row.get("running")?,
        deaths: row.get("deaths")?,
        failures: row.get("failures")?,
        set_aside: row.get("set_aside")?,
        error: row.get("error")?,
    })
}

pub(super) fn counts(connection: &Connection, now: u64) -> rusqlite::Result<Vec<JobCount>> {
    // A column that is not aggregated has its value from the row with the minimum (SQLite, "Bare columns").
    let mut statement = connection.prepare_cached(
        "SELECT kind, CASE WHEN set_aside THEN 4 WHEN leased_until > ?1 THEN 1
                           WHEN run_at <= ?1 OR run_at > ?1 + ?2 THEN 0 WHEN failures > 0 THEN 2 ELSE 3 END AS state,
                count(*) AS count, min(n) AS first, run_at
         FROM jobs GROUP BY 1, 2",
    )?;
    let counted = statement.query_map(params![now, LONGEST_PAUSE.as_secs()], |row| {
        let state = match row.get::<_, u8>("state")? {
            0 => JobState::Due,
            1 => JobState::Running,
            2 => JobState::Retrying,
            3 => JobState::Scheduled,
            _ => JobState::SetAside,
        };
        let (kind, count) = (row.get("kind")?, row.get("count")?);
        Ok(JobCount { kind, state, count, first: row.get("first")?, run_at: row.get("run_at")? })
    });
    counted?.collect()
}

pub(super) fn retry(tx: &Connection, id: Option<JobId>, now: u64) -> rusqlite::Result<u64> {
    let retried = tx
        .prepare_cached(
            "UPDATE jobs SET set_aside = 0, deaths = 0, failures = 0, run_at = min(run_at, ?2)
             WHERE (set_aside = 1 OR failures > 0) AND lease IS NULL AND (?1 IS NULL OR id = ?1)",
        )?
        .execute(params![id, now])?;
    Ok(retried as u64)
}

/// Ends all leases. Only this process uses the database, so their holders are dead.
pub(super) fn end_leases(tx: &Connection) -> rusqlite::Result<()> {
    tx.execute("UPDATE jobs SET leased_until = 0 WHERE lease IS NOT NULL", ())?;
    Ok(())
}
