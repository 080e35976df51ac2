//! Work that outlives the request that made it necessary: the [`JobQueue`] contract and the types it speaks in.
//!
//! A job is committed in the transaction that makes it necessary. Whoever takes one holds a *lease*: while it
//! lasts, nobody else takes the job, and every effect of the job names it. A job may run twice, as when a process
//! dies, or a lease ends before its holder does. Times are seconds since 1970.

use std::time::Duration;

use tokio::sync::{Notify, broadcast};

use super::error::Error;
use crate::ids::{BlobId, JobId, LeaseId, UploadId, UserId};

/// A job belongs to its holder for so long after it was taken, and after each renewal.
pub const LEASE: Duration = Duration::from_mins(1);
/// The pause after the first failure of a job.
pub const FIRST_RETRY: Duration = Duration::from_secs(5);
/// No job is put off for longer: one that is due later than that was recorded by a clock that has been set back
/// since, and is due now.
pub const LONGEST_PAUSE: Duration = Duration::from_hours(2);
/// Deaths of the process after which a job is set aside.
pub const MAX_DEATHS: u32 = 3;

/// What is to be done. The names are those that the table holds and `haversack jobs` prints.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Make a thumbnail of an upload.
    Thumbnail,
    /// Delete bytes that the records have forgotten.
    Delete,
    /// Forget the parts of an upload that receives nothing any more, where it had many.
    ForgetParts,
    /// Finish an upload that has all its bytes, which may be partly overwritten.
    Finish,
    /// Copy a File's bytes, which lie in several blobs, into one.
    Pack,
    /// Compare what an earlier boot of the machine left unsynced with its bytes.
    Compare,
    /// Expire idle uploads, and remove Files that no message shows; again and again.
    Expire,
    /// Delete bytes that no record claims; again and again.
    Collect,
}

impl JobKind {
    /// All of them.
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

    /// Its name in the table.
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

    /// The upload or File that a job of this kind is about, if it is about one.
    pub fn upload(self, subject: [u8; 16]) -> Option<UploadId> {
        matches!(self, Self::Thumbnail | Self::Finish | Self::Pack)
            .then(|| UploadId::from_bytes(subject))
    }

    /// Logs that a job is set aside, because the process ended too often while it ran.
    pub(super) fn log_set_aside(self, id: JobId, subject: [u8; 16]) {
        let (upload, kind) = (self.upload(subject).map(tracing::field::display), self.name());
        tracing::error!(job = %id, kind, upload, "set a job aside: the process ended {MAX_DEATHS} times while it ran");
    }

    /// The kind of that name; `None` where there is none, as in a table that a newer version wrote.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// A job to be put on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// What is to be done.
    pub kind: JobKind,
    /// To what: an upload's uuid, the name of bytes, or a number in the records; 16 bytes. At most one job of a kind
    /// and subject is on record at a time.
    pub subject: [u8; 16],
    /// Whose turn it takes; jobs of different users of one kind take turns.
    pub user: Option<UserId>,
    /// What the job needs to know beside its subject: ids, never personal data.
    pub payload: Vec<u8>,
    /// Not before then.
    pub run_at: u64,
}

/// Blobs that one job deletes, at most.
const DELETED_AT_ONCE: usize = 1000;

/// The subject of jobs that concern no upload of their own.
pub const PERIODIC: [u8; 16] = [0; 16];

impl NewJob {
    /// A job to be done as soon as can be, out of turn.
    pub fn at_once(kind: JobKind, subject: [u8; 16]) -> Self {
        Self { kind, subject, user: None, payload: Vec::new(), run_at: 0 }
    }

    /// The deletion of blobs that an upload had, so many in each job that it stays a small one.
    pub fn deletions(blobs: &[BlobId], of: UploadId) -> impl Iterator<Item = Self> {
        blobs.chunks(DELETED_AT_ONCE).map(move |blobs| {
            let (first, others) = (blobs[0], &blobs[1..]);
            let others = others.iter().flat_map(|blob| blob.to_bytes());
            let payload = of.to_bytes().into_iter().chain(others).collect();
            Self { payload, ..Self::at_once(JobKind::Delete, first.to_bytes()) }
        })
    }

    /// The forgetting of the parts of an upload that has this number in the records.
    pub fn forget_parts(number: u64) -> Self {
        Self::at_once(JobKind::ForgetParts, u128::from(number).to_be_bytes())
    }

    /// The copying of this user's File into one blob.
    pub fn pack(of: UploadId, user: UserId) -> Self {
        Self { user: Some(user), ..Self::at_once(JobKind::Pack, of.to_bytes()) }
    }

    /// The making of a thumbnail of this user's upload.
    pub fn thumbnail(of: UploadId, user: UserId) -> Self {
        Self { user: Some(user), ..Self::at_once(JobKind::Thumbnail, of.to_bytes()) }
    }
}

/// A job that is held under a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What is to be done.
    pub kind: JobKind,
    /// To what.
    pub subject: [u8; 16],
    /// Whose turn it takes.
    pub user: Option<UserId>,
    /// What it needs to know beside its subject.
    pub payload: Vec<u8>,
    /// The lease; every effect and the outcome name it.
    pub lease: LeaseId,
    /// Earlier leases that ended with no outcome: the process may have died of it.
    pub deaths: u32,
    /// Earlier outcomes that were failures.
    pub failures: u32,
}

impl Job {
    /// The upload or File that it is about.
    pub fn upload(&self) -> Option<UploadId> {
        self.kind.upload(self.subject)
    }

    /// The blobs that a deletion deletes, and the upload that had them, where it is known.
    pub fn deleted(&self) -> (Vec<BlobId>, Option<UploadId>) {
        let (ids, _) = self.payload.as_chunks::<16>();
        let others = ids.iter().skip(1).map(|blob| BlobId::from_bytes(*blob));
        let blobs = std::iter::once(BlobId::from_bytes(self.subject)).chain(others).collect();
        (blobs, ids.first().map(|of| UploadId::from_bytes(*of)))
    }
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is nothing more to do: the job is forgotten.
    Done,
    /// It was not really tried, as when the server stops: it may be taken at once, and nothing is counted.
    Returned,
    /// It failed, and is tried again then.
    Failed {
        /// Why, for the operator; no personal data.
        error: String,
        /// Not before then.
        retry_at: u64,
    },
    /// A periodic job came to its end, and runs again then.
    Again {
        /// Not before then.
        run_at: u64,
    },
}

/// A job as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JobStatus {
    /// Its id.
    pub id: String,
    /// What is to be done; a name that this version may not know.
    pub kind: String,
    /// To what: 32 hexadecimal digits.
    pub subject: String,
    /// The upload or File that it is about, if it is about one.
    pub upload: Option<String>,
    /// Whose turn it takes.
    pub user: Option<String>,
    /// Not before then, unix seconds.
    pub run_at: u64,
    /// Whether somebody holds its lease.
    pub running: bool,
    /// Leases that ended with no outcome.
    pub deaths: u32,
    /// Outcomes that were failures.
    pub failures: u32,
    /// Whether it is set aside: nobody takes it until the operator says so.
    pub set_aside: bool,
    /// Why it failed last.
    pub error: Option<String>,
}

/// The state of a job as the operator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It waits for a worker.
    Due,
    /// Somebody holds its lease.
    Running,
    /// It failed, and will be tried again later.
    Retrying,
    /// It is due later.
    Scheduled,
    /// Nobody takes it until the operator says so.
    SetAside,
}

/// The jobs of one kind in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCount {
    /// The kind's name, which this version may not know.
    pub kind: String,
    /// Their state.
    pub state: JobState,
    /// How many there are.
    pub count: u64,
    /// The number of the one that was put on record first.
    pub first: u64,
    /// Before then that one is not done, unix seconds.
    pub run_at: u64,
}

/// What the tasks of one process tell each other about jobs, so that nobody has to ask the queue again and again.
/// A hint: the queue alone says what is so.
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
    /// Tells the workers that a job was put on record.
    pub fn job_added(&self) {
        self.added.notify_waiters();
    }

    /// Completes when a job is put on record after this was called.
    pub fn added(&self) -> tokio::sync::futures::Notified<'_> {
        self.added.notified()
    }

    /// Tells whoever waits that a job came to an end, for now or for good.
    pub fn job_settled(&self, kind: JobKind, subject: [u8; 16]) {
        let _ = self.settled.send((kind, subject)); // nobody may be waiting
    }

    /// The jobs that come to an end after this was called.
    pub fn settled(&self) -> Settled {
        Settled(self.settled.subscribe())
    }
}

/// Jobs that come to an end; see [`JobSignal::settled`].
pub struct Settled(broadcast::Receiver<(JobKind, [u8; 16])>);

impl Settled {
    /// Waits for the job of this kind and subject; also returns when so many others ended that it may have been
    /// missed.
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
    /// Puts a job on record; changes nothing when one of its kind and subject is there.
    async fn add_job(&self, job: NewJob) -> Result<(), Error>;

    /// Takes at most `limit` jobs of these kinds that are due, each under a lease of its own until
    /// `leased_until`. Jobs of different users take turns; those of `passed_over` are left alone. A job whose
    /// lease has ended may be taken again: that counts as a death of its holder, and at [`MAX_DEATHS`] the job is
    /// set aside instead.
    async fn take_jobs(
        &self,
        kinds: &[JobKind],
        passed_over: &[UserId],
        limit: u32,
        now: u64,
        leased_until: u64,
    ) -> Result<Vec<Job>, Error>;

    /// Holds a job for longer; `false` when its lease is somebody else's by now, or the job is gone.
    async fn renew_job(&self, id: JobId, lease: LeaseId, leased_until: u64) -> Result<bool, Error>;

    /// Puts the outcome on record; `false`, and nothing changes, when the lease is somebody else's by now, or the
    /// job is gone: repeating it is harmless.
    async fn settle_job(&self, id: JobId, lease: LeaseId, outcome: Outcome) -> Result<bool, Error>;

    /// Whether somebody holds a job of this kind now; of this user's, if one is given.
    async fn any_running(
        &self,
        kind: JobKind,
        user: Option<UserId>,
        now: u64,
    ) -> Result<bool, Error>;

    /// How many jobs of this kind a user has on record, those set aside apart; counted up to `at_most`.
    async fn count_jobs(&self, kind: JobKind, user: UserId, at_most: u32) -> Result<u32, Error>;

    /// At most `limit` jobs in the order in which they were put on record, from behind `after` on (0: from the
    /// first), and where to continue.
    async fn list_jobs(
        &self,
        after: u64,
        limit: u32,
        now: u64,
    ) -> Result<(Vec<JobStatus>, Option<u64>), Error>;

    /// How many jobs there are of each kind and in each state.
    async fn job_counts(&self, now: u64) -> Result<Vec<JobCount>, Error>;

    /// Lets jobs that are set aside, or wait after a failure, be taken at once; all of them, or the one of this
    /// id. Returns how many there were.
    async fn retry_jobs(&self, id: Option<JobId>, now: u64) -> Result<u64, Error>;
}
