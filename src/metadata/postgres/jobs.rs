//! The table of jobs: recording, turns, leases and outcomes.

use tokio_postgres::{Error, Row};
use uuid::Uuid;

use super::attempts::Pg;
use super::query;
use super::values::{Columns, N};
use crate::ids::{JobId, LeaseId, UserId};
use crate::metadata::jobs::{
    Job, JobCount, JobKind, JobState, JobStatus, LONGEST_PAUSE, MAX_DEATHS, NewJob, Outcome,
};

/// Who holds a job, and until when.
#[derive(Clone, Copy)]
pub(super) struct Holder<'a> {
    pub(super) node: &'a str,
    pub(super) until: u64,
}

/// The columns of a held job.
const HELD: &str =
    "id, kind, subject, user_id, payload, lease, deaths, failures, round, n, set_aside";

/// Adds a job unless there is one with its kind and subject.
///
/// Its round is the one after the user's last waiting job, but at least the first round in which other jobs wait. So a
/// user with many jobs doesn't delay the jobs of others.
pub(super) async fn add(pg: &Pg, job: &NewJob) -> Result<(), Error> {
    let sql = "
        INSERT INTO jobs (kind, subject, user_id, payload, run_at, round)
        VALUES ($1, $2, $3, $4, $5,
                greatest((SELECT round FROM jobs WHERE kind = $1 AND NOT set_aside ORDER BY round LIMIT 1),
                         (SELECT round + 1 FROM jobs WHERE kind = $1 AND user_id = $3 AND NOT set_aside
                          ORDER BY round DESC LIMIT 1), 0))
        ON CONFLICT (kind, subject) DO NOTHING";
    let subject = Uuid::from_bytes(job.subject);
    let values: query::Values<'_> =
        &[&job.kind.name(), &subject, &job.user, &job.payload, &N(job.run_at)];
    query::execute(pg, sql, values).await.map(drop)
}

/// Forgets a job that is no longer needed. Returns whether there was one; if `lease` is given, only a job that it
/// holds.
pub(super) async fn forget(
    pg: &Pg,
    kind: JobKind,
    subject: [u8; 16],
    lease: Option<LeaseId>,
) -> Result<bool, Error> {
    let sql =
        "DELETE FROM jobs WHERE kind = $1 AND subject = $2 AND ($3::uuid IS NULL OR lease = $3)";
    let values: query::Values<'_> = &[&kind.name(), &Uuid::from_bytes(subject), &lease];
    Ok(query::execute(pg, sql, values).await? > 0)
}

/// Forgets a job that is no longer needed. If somebody holds it, it stays, and its holder will notice.
pub(super) async fn forget_unheld(
    pg: &Pg,
    kind: JobKind,
    subject: [u8; 16],
    now: u64,
) -> Result<(), Error> {
    let sql = "DELETE FROM jobs WHERE kind = $1 AND subject = $2 AND (lease IS NULL OR leased_until <= $3)";
    let values: query::Values<'_> = &[&kind.name(), &Uuid::from_bytes(subject), &N(now)];
    query::execute(pg, sql, values).await.map(drop)
}

/// Forgets a user's remaining jobs on uploads that are gone.
pub(super) async fn forget_user(pg: &Pg, user: &UserId) -> Result<(), Error> {
    let sql = "DELETE FROM jobs WHERE n IN
                   (SELECT n FROM jobs WHERE user_id = $1
                      AND NOT EXISTS (SELECT 1 FROM uploads WHERE id = subject AND state = 1)
                    ORDER BY n FOR UPDATE)";
    query::execute(pg, sql, &[user]).await.map(drop)
}

/// Takes the lease of a job that this transaction has added.
pub(super) async fn lease(
    pg: &Pg,
    kind: JobKind,
    subject: [u8; 16],
    holder: Holder<'_>,
) -> Result<Option<Job>, Error> {
    let sql = format!(
        "UPDATE jobs SET lease = gen_random_uuid(), leased_until = $3, node = $4
         WHERE kind = $1 AND subject = $2 AND lease IS NULL AND NOT set_aside RETURNING {HELD}"
    );
    let values: query::Values<'_> =
        &[&kind.name(), &Uuid::from_bytes(subject), &N(holder.until), &holder.node];
    query::row(pg, &sql, values).await?.map(|row| held(&row, kind)).transpose()
}

/// Condition for a job of the kind `$1` that is due at `$2` and doesn't belong to a user in `$3`.
const DUE: &str = "kind = $1 AND NOT set_aside AND (run_at <= $2 OR run_at > $2 + $4)
    AND (lease IS NULL OR leased_until <= $2) AND (user_id IS NULL OR user_id <> ALL ($3))";

pub(super) async fn take(
    pg: &Pg,
    kinds: &[JobKind],
    passed_over: &[UserId],
    limit: u32,
    now: u64,
    holder: Holder<'_>,
) -> Result<Vec<Job>, Error> {
    let mut taken = Vec::new();
    for kind in kinds {
        while taken.len() < limit as usize {
            let wanted = limit as usize - taken.len();
            let (jobs, any_set_aside) =
                take_some(pg, *kind, passed_over, wanted, now, holder).await?;
            taken.extend(jobs);
            if !any_set_aside {
                break;
            }
        }
    }
    Ok(taken)
}

/// Takes jobs of one kind, and sets aside those during which the process ended too often. Returns whether it set any
/// aside.
async fn take_some(
    pg: &Pg,
    kind: JobKind,
    passed_over: &[UserId],
    limit: usize,
    now: u64,
    holder: Holder<'_>,
) -> Result<(Vec<Job>, bool), Error> {
    // MATERIALIZED, because otherwise the planner may run the LIMIT more than once.
    let sql = format!(
        "WITH due AS MATERIALIZED
            (SELECT n AS job, lease IS NOT NULL AS died, lease IS NOT NULL AND deaths + 1 >= {MAX_DEATHS} AS is_too_often
             FROM jobs WHERE {DUE} ORDER BY round, n LIMIT $5 FOR UPDATE SKIP LOCKED)
         UPDATE jobs
         SET deaths = deaths + died::int, set_aside = is_too_often,
             lease = CASE WHEN NOT is_too_often THEN gen_random_uuid() END,
             leased_until = CASE WHEN NOT is_too_often THEN $6::bigint END, node = $7,
             error = CASE WHEN is_too_often THEN 'the process ended each time while this ran' ELSE error END
         FROM due WHERE n = job RETURNING {HELD}"
    );
    let limit = N(limit as u64);
    let mut rows = query::rows(
        pg,
        &sql,
        &[
            &kind.name(),
            &N(now),
            &passed_over,
            &N(LONGEST_PAUSE.as_secs()),
            &limit,
            &N(holder.until),
            &holder.node,
        ],
    )
    .await?;
    let order = |row: &Row| (row.number("round").unwrap_or(0), row.number("n").unwrap_or(0));
    rows.sort_by_key(order);
    let (mut jobs, mut any_set_aside) = (Vec::new(), false);
    for row in &rows {
        if row.try_get("set_aside")? {
            any_set_aside = true;
            let subject: Uuid = row.try_get("subject")?;
            kind.log_set_aside(row.try_get("id")?, subject.into_bytes());
        } else {
            jobs.push(held(row, kind)?);
        }
    }
    Ok((jobs, any_set_aside))
}

fn held(row: &Row, kind: JobKind) -> Result<Job, Error> {
    Ok(Job {
        id: row.try_get("id")?,
        kind,
        subject: row.try_get::<_, Uuid>("subject")?.into_bytes(),
        user: row.try_get("user_id")?,
        payload: row.try_get("payload")?,
        lease: row.try_get("lease")?,
        deaths: row.small("deaths")?,
        failures: row.small("failures")?,
    })
}

/// Whether any job is due.
pub(super) async fn any_due(
    pg: &Pg,
    kinds: &[JobKind],
    passed_over: &[UserId],
    now: u64,
) -> Result<bool, Error> {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let sql =
        format!("SELECT 1 FROM jobs WHERE {} LIMIT 1", DUE.replace("kind = $1", "kind = ANY ($1)"));
    query::exists(pg, &sql, &[&kinds, &N(now), &passed_over, &N(LONGEST_PAUSE.as_secs())]).await
}

pub(super) async fn renew(
    pg: &Pg,
    id: JobId,
    lease: LeaseId,
    leased_until: u64,
) -> Result<bool, Error> {
    let sql = "UPDATE jobs SET leased_until = $3 WHERE id = $1 AND lease = $2";
    Ok(query::execute(pg, sql, &[&id, &lease, &N(leased_until)]).await? > 0)
}

pub(super) async fn settle(
    pg: &Pg,
    id: JobId,
    lease: LeaseId,
    outcome: &Outcome,
) -> Result<bool, Error> {
    let release = "UPDATE jobs SET lease = NULL, leased_until = NULL, node = NULL";
    let settled = match outcome {
        Outcome::Done => {
            let sql = "DELETE FROM jobs WHERE id = $1 AND lease = $2";
            query::execute(pg, sql, &[&id, &lease]).await?
        }
        Outcome::Returned => {
            let sql = format!("{release} WHERE id = $1 AND lease = $2");
            query::execute(pg, &sql, &[&id, &lease]).await?
        }
        Outcome::Failed { error, retry_at } => {
            let sql = format!(
                "{release}, deaths = 0, failures = failures + 1, error = $3, run_at = $4
                 WHERE id = $1 AND lease = $2"
            );
            let error = error.replace('\0', " "); // which PostgreSQL doesn't allow in text
            query::execute(pg, &sql, &[&id, &lease, &error, &N(*retry_at)]).await?
        }
        Outcome::Again { run_at } => {
            let sql = format!(
                "{release}, deaths = 0, failures = 0, error = NULL, run_at = $3
                 WHERE id = $1 AND lease = $2"
            );
            query::execute(pg, &sql, &[&id, &lease, &N(*run_at)]).await?
        }
    };
    Ok(settled > 0)
}

pub(super) async fn any_running(
    pg: &Pg,
    kind: JobKind,
    user: Option<&UserId>,
    now: u64,
) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM jobs WHERE kind = $1 AND NOT set_aside AND leased_until > $3
                 AND ($2::text IS NULL OR user_id = $2) LIMIT 1";
    query::exists(pg, sql, &[&kind.name(), &user, &N(now)]).await
}

pub(super) async fn count(
    pg: &Pg,
    kind: JobKind,
    user: &UserId,
    at_most: u32,
) -> Result<u32, Error> {
    let sql = "SELECT count(*) AS count FROM
                   (SELECT 1 FROM jobs WHERE kind = $1 AND user_id = $2 AND NOT set_aside LIMIT $3) found";
    query::one(pg, sql, &[&kind.name(), user, &N::from(at_most)]).await?.small("count")
}

pub(super) async fn list(
    pg: &Pg,
    after: u64,
    limit: u32,
    now: u64,
) -> Result<(Vec<JobStatus>, Option<u64>), Error> {
    let sql = "SELECT n, id, kind, subject, user_id, run_at, coalesce(leased_until > $3, false) AS running, deaths,
                      failures, set_aside, error
               FROM jobs WHERE n > $1 ORDER BY n LIMIT $2";
    let rows = query::rows(pg, sql, &[&N(after), &N::from(limit), &N(now)]).await?;
    let next = rows.last().map(|row| row.number("n")).transpose()?;
    Ok((rows.iter().map(status).collect::<Result<_, _>>()?, next))
}

fn status(row: &Row) -> Result<JobStatus, Error> {
    let kind: String = row.try_get("kind")?;
    let subject: Uuid = row.try_get("subject")?;
    let upload = JobKind::parse(&kind).and_then(|kind| kind.upload(subject.into_bytes()));
    Ok(JobStatus {
        id: row.try_get::<_, JobId>("id")?.to_string(),
        kind,
        upload: upload.map(|upload| upload.to_string()),
        user: row.try_get("user_id")?,
        subject: subject.simple().to_string(),
        run_at: row.number("run_at")?,
        running: row.try_get("running")?,
        deaths: row.small("deaths")?,
        failures: row.small("failures")?,
        set_aside: row.try_get("set_aside")?,
        error: row.try_get("error")?,
    })
}

pub(super) async fn counts(pg: &Pg, now: u64) -> Result<Vec<JobCount>, Error> {
    let sql = "SELECT kind, state, count(*) AS count, min(n) AS first, (array_agg(run_at ORDER BY n))[1] AS run_at
               FROM (SELECT kind, n, run_at,
                            CASE WHEN set_aside THEN 4 WHEN leased_until > $1 THEN 1
                                 WHEN run_at <= $1 OR run_at > $1 + $2 THEN 0 WHEN failures > 0 THEN 2 ELSE 3 END AS state
                     FROM jobs) each
               GROUP BY kind, state";
    let rows = query::rows(pg, sql, &[&N(now), &N(LONGEST_PAUSE.as_secs())]).await?;
    let count = |row: &Row| {
        let state = match row.small("state")? {
            0 => JobState::Due,
            1 => JobState::Running,
            2 => JobState::Retrying,
            3 => JobState::Scheduled,
            _ => JobState::SetAside,
        };
        let (kind, count) = (row.try_get("kind")?, row.number("count")?);
        Ok(JobCount {
            kind,
            state,
            count,
            first: row.number("first")?,
            run_at: row.number("run_at")?,
        })
    };
    rows.iter().map(count).collect()
}

/// Passes over jobs that another transaction is changing: it may be about to wait for a job that is locked here.
pub(super) async fn retry(pg: &Pg, id: Option<JobId>, now: u64) -> Result<u64, Error> {
    let sql = "UPDATE jobs SET set_aside = false, deaths = 0, failures = 0, run_at = least(run_at, $2)
               WHERE n IN (SELECT n FROM jobs
                           WHERE (set_aside OR failures > 0) AND lease IS NULL AND ($1::uuid IS NULL OR id = $1)
                           FOR UPDATE SKIP LOCKED)";
    query::execute(pg, sql, &[&id, &N(now)]).await
}

/// Ends the leases of this node. It has started again, so their holders are dead.
pub(super) async fn end_leases(pg: &Pg, node: &str) -> Result<(), Error> {
    let sql = "UPDATE jobs SET leased_until = 0 WHERE node = $1 AND lease IS NOT NULL";
    query::execute(pg, sql, &[&node]).await.map(drop)
}
