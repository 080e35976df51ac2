//! Work that outlives the request that made it necessary: the [`JobQueue`] contract and the types it uses.
//!
//! A job is committed in the transaction that makes it necessary. Whoever takes a job holds a *lease*: while it lasts,
//! nobody else takes the job, and every effect of the job names it. A job may run twice, for example after a process
//! died, or if a lease ends before its holder does. Times are seconds since 1970.

use std::time::Duration;

use tokio::sync::{Notify, broadcast};

use super::error::Error;
use crate::ids::{BlobId, JobId, LeaseId, UploadId, UserId};

/// How long a lease lasts after the job was taken, and after each renewal.
pub const LEASE: Duration = Duration::from_mins(1);
/// The pause after the first failure of a job.
pub const FIRST_RETRY: Duration = Duration::from_secs(5);
/// The longest time for which a job is postponed. A job that is due later than that was recorded by a clock that has
/// been set back since; it is treated as due now.
pub const LONGEST_PAUSE: Duration = Duration::from_hours(2);
/// Number of deaths of the process after which a job is set aside.
pub const MAX_DEATHS: u32 = 3;

/// What a job does. The names are stored in the table and printed by `haversack jobs`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Make a thumbnail of an upload.
    Thumbnail,
    /// Delete bytes that the records have forgotten.
    Delete,
    /// Forget the many parts of an upload that has ended.
    ForgetParts,
    /// Finish a complete upload, whose bytes may be partly overwritten.
    Finish,
    /// Copy a File's bytes, which are in several blobs, into one.
    Pack,
    /// Compare bytes that an earlier boot of the machine left unsynced with their checksums.
    Compare,
    /// Expire idle uploads, and remove Files that no message shows. Periodic.
    Expire,
    /// Delete bytes that no record claims. Periodic.
    Collect,
}

impl JobKind {
    /// All kinds.
    pub const ALL: &[Self] = &[
        Self::Thumbnail,
        Self::Delete,
        Self::ForgetParts,
        Self::Finish,
        Self::Pack,
        Self::Compare,
        Self::Expire,
        Self::Collect,
    ];

    /// Returns its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Thumbnail => "thumbnail",
            Self::Delete => "delete",
            Self::ForgetParts => "forget-parts",
            Self::Finish => "finish",
            Self::Pack => "pack",
            Self::Compare => "compare",
            Self::Expire => "expire",
            Self::Collect => "collect",
        }
    }

    /// Returns the upload or File that a job of this kind is about, if it is about one.
    pub fn upload(self, subject: [u8; 16]) -> Option<UploadId> {
        matches!(self, Self::Thumbnail | Self::Finish | Self::Pack)
            .then(|| UploadId::from_bytes(subject))
    }

    /// Logs that a job is set aside, because the process ended too often while it ran.
    pub(super) fn log_set_aside(self, id: JobId, subject: [u8; 16]) {
        let (upload, kind) = (self.upload(subject).map(tracing::field::display), self.name());
        tracing::error!(job = %id, kind, upload, "set a job aside: the process ended {MAX_DEATHS} times while it ran");
    }

    /// Returns the kind with this name. Returns `None` if this version doesn't know it, because a newer version
    /// recorded the job.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// A job to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// What it does.
    pub kind: JobKind,
    /// What it works on: an upload's uuid, the name of bytes, or a number in the records; 16 bytes. There is at most
    /// one job per kind and subject.
    pub subject: [u8; 16],
    /// The user whose turn it takes: users take turns in the jobs of each kind.
    pub user: Option<UserId>,
    /// What the job needs to know besides its subject: ids, never personal data.
    pub payload: Vec<u8>,
    /// Earliest time at which it runs.
    pub run_at: u64,
}

/// Maximum number of blobs that one job deletes.
const DELETED_AT_ONCE: usize = 1000;

/// The subject of jobs that concern no upload of their own.
pub const PERIODIC: [u8; 16] = [0; 16];

impl NewJob {
    /// Creates a job that runs as soon as possible, out of turn.
    pub fn at_once(kind: JobKind, subject: [u8; 16]) -> Self {
        Self { kind, subject, user: None, payload: Vec::new(), run_at: 0 }
    }

    /// Creates jobs that delete blobs of an upload, in batches so that each job is small.
    pub fn deletions(blobs: &[BlobId], of: UploadId) -> impl Iterator<Item = Self> {
        blobs.chunks(DELETED_AT_ONCE).map(move |blobs| {
            let (first, others) = (blobs[0], &blobs[1..]);
            let others = others.iter().flat_map(|blob| blob.to_bytes());
            let payload = of.to_bytes().into_iter().chain(others).collect();
            Self { payload, ..Self::at_once(JobKind::Delete, first.to_bytes()) }
        })
    }

    /// Creates a job that forgets the parts of the upload with this number in the records.
    pub fn forget_parts(number: u64) -> Self {
        Self::at_once(JobKind::ForgetParts, u128::from(number).to_be_bytes())
    }

    /// Creates a job that copies this user's File into one blob.
    pub fn pack(of: UploadId, user: UserId) -> Self {
        Self { user: Some(user), ..Self::at_once(JobKind::Pack, of.to_bytes()) }
    }

    /// Creates a job that makes a thumbnail of this user's upload.
    pub fn thumbnail(of: UploadId, user: UserId) -> Self {
        Self { user: Some(user), ..Self::at_once(JobKind::Thumbnail, of.to_bytes()) }
    }
}

/// A job that is held under a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// What it works on.
    pub subject: [u8; 16],
    /// The user whose turn it takes.
    pub user: Option<UserId>,
    /// What it needs to know besides its subject.
    pub payload: Vec<u8>,
    /// The lease; every effect and the outcome name it.
    pub lease: LeaseId,
    /// Number of earlier leases that ended without an outcome: the job may have ended the process.
    pub deaths: u32,
    /// Number of earlier failures.
    pub failures: u32,
}

impl Job {
    /// Returns the upload or File that the job is about.
    pub fn upload(&self) -> Option<UploadId> {
        self.kind.upload(self.subject)
    }

    /// Returns the blobs that a deletion deletes, and the upload that they belonged to, if it is known.
    pub fn deleted(&self) -> (Vec<BlobId>, Option<UploadId>) {
        let (ids, _) = self.payload.as_chunks::<16>();
        let others = ids.iter().skip(1).map(|blob| BlobId::from_bytes(*blob));
        let blobs = std::iter::once(BlobId::from_bytes(self.subject)).chain(others).collect();
        (blobs, ids.first().map(|of| UploadId::from_bytes(*of)))
    }
}

/// Outcome of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is nothing more to do. The job is forgotten.
    Done,
    /// It was not really tried, for example because the server stops. It may be taken again at once, and nothing is
    /// counted.
    Returned,
    /// It failed, and is retried.
    Failed {
        /// Why it failed, for the operator. Contains no personal data.
        error: String,
        /// Earliest time of the next attempt.
        retry_at: u64,
    },
    /// A run of a periodic job is over, and the job runs again.
    Again {
        /// Earliest time of the next run.
        run_at: u64,
    },
}

/// A job as shown to the operator.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JobStatus {
    /// Its id.
    pub id: String,
    /// What it does. This version may not know the name.
    pub kind: String,
    /// What it works on, as 32 hexadecimal digits.
    pub subject: String,
    /// The upload or File that the job is about, if it is about one.
    pub upload: Option<String>,
    /// The user whose turn it takes.
    pub user: Option<String>,
    /// Earliest time at which it runs, in unix seconds.
    pub run_at: u64,
    /// Whether somebody holds its lease.
    pub running: bool,
    /// Number of leases that ended without an outcome.
    pub deaths: u32,
    /// Number of failures.
    pub failures: u32,
    /// Whether it is set aside: nobody takes it until the operator retries it.
    pub set_aside: bool,
    /// Why it failed the last time.
    pub error: Option<String>,
}

/// The state of a job as shown to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It waits for a worker.
    Due,
    /// Somebody holds its lease.
    Running,
    /// It failed, and will be retried later.
    Retrying,
    /// It is due later.
    Scheduled,
    /// Nobody takes it until the operator retries it.
    SetAside,
}

/// The jobs of one kind in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCount {
    /// The kind's name. This version may not know it.
    pub kind: String,
    /// Their state.
    pub state: JobState,
    /// How many there are.
    pub count: u64,
    /// The number of the job that was recorded first.
    pub first: u64,
    /// Earliest time at which that job runs, in unix seconds.
    pub run_at: u64,
}

/// How the tasks of one process tell each other about jobs, so that they needn't poll the queue often. These are only
/// hints: the queue is authoritative.
#[derive(Debug)]
pub struct JobSignal {
    added: Notify,
    settled: broadcast::Sender<(JobKind, [u8; 16])>,
}

impl Default for JobSignal {
    fn default() -> Self {
        Self { added: Notify::new(), settled: broadcast::Sender::new(256) }
    }
}

impl JobSignal {
    /// Tells the workers that a job was recorded.
    pub fn job_added(&self) {
        self.added.notify_waiters();
    }

    /// Completes when a job is recorded after this call.
    pub fn added(&self) -> tokio::sync::futures::Notified<'_> {
        self.added.notified()
    }

    /// Tells waiting tasks that a job has ended, for now or for good.
    pub fn job_settled(&self, kind: JobKind, subject: [u8; 16]) {
        let _ = self.settled.send((kind, subject)); // nobody may be waiting
    }

    /// Receives the jobs that end after this call.
    pub fn settled(&self) -> Settled {
        Settled(self.settled.subscribe())
    }
}

/// Jobs that have ended; see [`JobSignal::settled`].
pub struct Settled(broadcast::Receiver<(JobKind, [u8; 16])>);

impl Settled {
    /// Waits for the job with this kind and subject. Also returns if so many other jobs ended that this one may have
    /// been missed.
    pub async fn wait_for(&mut self, kind: JobKind, subject: [u8; 16]) {
        self.wait_until(|settled| settled == (kind, subject)).await;
    }

    /// Waits for a job of this kind in the same way.
    pub async fn wait_for_any(&mut self, kind: JobKind) {
        self.wait_until(|(settled, _)| settled == kind).await;
    }

    async fn wait_until(&mut self, is_it: impl Fn((JobKind, [u8; 16])) -> bool) {
        while let Ok(settled) = self.0.recv().await {
            if is_it(settled) {
                return;
            }
        }
    }
}

/// The queue of jobs.
#[async_trait::async_trait]
pub trait JobQueue: Send + Sync + 'static {
    /// Records a job. Changes nothing if there is one with its kind and subject.
    async fn add_job(&self, job: NewJob) -> Result<(), Error>;

    /// Takes at most `limit` due jobs of these kinds, each under its own lease until `leased_until`. Users take turns;
    /// jobs of the users in `passed_over` are left alone. A job whose lease has ended may be taken again: that counts
    /// as a death of its holder, and at [`MAX_DEATHS`] the job is set aside instead.
    async fn take_jobs(
        &self,
        kinds: &[JobKind],
        passed_over: &[UserId],
        limit: u32,
        now: u64,
        leased_until: u64,
    ) -> Result<Vec<Job>, Error>;

    /// Extends a lease. Returns `false` if `lease` no longer holds the job, or the job is gone.
    async fn renew_job(&self, id: JobId, lease: LeaseId, leased_until: u64) -> Result<bool, Error>;

    /// Records the outcome. Returns `false` and changes nothing if `lease` no longer holds the job, or the job is
    /// gone; so repeating it is harmless.
    async fn settle_job(&self, id: JobId, lease: LeaseId, outcome: Outcome) -> Result<bool, Error>;

    /// Whether somebody holds a job of this kind now; of this user, if one is given.
    async fn any_running(
        &self,
        kind: JobKind,
        user: Option<UserId>,
        now: u64,
    ) -> Result<bool, Error>;

    /// Counts a user's jobs of this kind that aren't set aside, up to `at_most`.
    async fn count_jobs(&self, kind: JobKind, user: UserId, at_most: u32) -> Result<u32, Error>;

    /// Returns at most `limit` jobs in the order in which they were recorded, beginning after `after` (0: at the first
    /// one), and where to continue.
    async fn list_jobs(
        &self,
        after: u64,
        limit: u32,
        now: u64,
    ) -> Result<(Vec<JobStatus>, Option<u64>), Error>;

    /// Counts the jobs of each kind and state.
    async fn job_counts(&self, now: u64) -> Result<Vec<JobCount>, Error>;

    /// Makes jobs that are set aside, or wait after a failure, due at once: all of them, or the one with this id.
    /// Returns how many there were.
    async fn retry_jobs(&self, id: Option<JobId>, now: u64) -> Result<u64, Error>;
}
