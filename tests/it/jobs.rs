//! The worker with a real queue: jobs that fail, panic, end the process, or are many.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use haversack::clock::Clock;
use haversack::ids::{UploadId, UserId};
use haversack::jobs::{Perform, Worker};
use haversack::metadata::jobs::{Job, JobKind, JobQueue, JobSignal, JobStatus, NewJob, Outcome};
use haversack::metadata::sqlite::SqliteStore;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the tests' jobs do: each records its number when it begins, and ends once the test allows it.
#[derive(Clone)]
struct Noting {
    begun: Arc<Mutex<Vec<u8>>>,
    may_end: Arc<Semaphore>,
}

#[async_trait::async_trait]
impl Perform for Noting {
    async fn perform(&self, job: &Job) -> Result<Outcome, Failure> {
        self.begun.lock().unwrap().push(job.subject[0]);
        self.may_end.acquire().await.unwrap().forget();
        match job.subject[0] {
            13 => Err("thirteen fails".into()),
            66 => panic!("sixty-six panics"),
            _ => Ok(Outcome::Done),
        }
    }
}

struct Rig {
    _dir: tempfile::TempDir,
    store: Arc<SqliteStore>,
    signal: Arc<JobSignal>,
    worker: Arc<Worker<Noting>>,
    noting: Noting,
    clock: Clock,
    stop: CancellationToken,
}

impl Rig {
    /// A worker whose jobs all end at once if `may_end` is large.
    fn new(may_end: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(dir.path()).unwrap());
        let (signal, clock, stop) = (Arc::default(), Clock::system(), CancellationToken::new());
        let noting = Noting { begun: Arc::default(), may_end: Arc::new(Semaphore::new(may_end)) };
        let worker = Worker::new(
            Arc::clone(&store) as Arc<dyn JobQueue>,
            noting.clone(),
            Arc::clone(&signal),
            clock.clone(),
            stop.clone(),
        );
        Self { _dir: dir, store, signal, worker: Arc::new(worker), noting, clock, stop }
    }

    async fn add(&self, number: u8, user: i64) {
        let job = NewJob::at_once(JobKind::Thumbnail, [number; 16]);
        self.store.add_job(NewJob { user: Some(UserId::from(user)), ..job }).await.unwrap();
    }

    fn begun(&self) -> Vec<u8> {
        self.noting.begun.lock().unwrap().clone()
    }

    async fn wait_until_begun(&self, count: usize) {
        while self.begun().len() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Runs `lanes` jobs in parallel until the test stops it.
    fn run(&self, lanes: usize) -> Vec<tokio::task::JoinHandle<()>> {
        let lane = || {
            let worker = Arc::clone(&self.worker);
            tokio::spawn(async move { worker.run(&[JobKind::Thumbnail]).await })
        };
        (0..lanes).map(|_| lane()).collect()
    }

    async fn listed(&self) -> Vec<JobStatus> {
        self.store.list_jobs(0, 1000, self.clock.unix_secs()).await.unwrap().0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_after_a_crowd_of_one_users_jobs_is_served_next() {
    let rig = Rig::new(0);
    for number in 100..200 {
        rig.add(number, 1).await;
    }
    let lanes = rig.run(1);
    rig.wait_until_begun(1).await;
    rig.add(7, 2).await;
    rig.noting.may_end.add_permits(3);
    rig.wait_until_begun(4).await;
    assert!(rig.begun()[..3].contains(&7), "{:?}", rig.begun());
    rig.stop.cancel();
    for lane in lanes {
        lane.await.unwrap();
    }
}

/// A job whose user follows from its subject, and which takes five seconds of the test's clock.
struct Slow {
    begun: Arc<Mutex<Vec<u8>>>,
    clock: Clock,
}

#[async_trait::async_trait]
impl Perform for Slow {
    async fn perform(&self, job: &Job) -> Result<Outcome, Failure> {
        self.begun.lock().unwrap().push(job.subject[0]);
        self.clock.skip(Duration::from_secs(5));
        Ok(Outcome::Done)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_users_3900_pictures_keep_nobody_waiting_and_cost_a_third_of_each_minute() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(dir.path()).unwrap());
    let (signal, clock, stop) = (Arc::default(), Clock::system(), CancellationToken::new());
    let begun: Arc<Mutex<Vec<u8>>> = Arc::default();
    let slow = Slow { begun: Arc::clone(&begun), clock: clock.clone() };
    let queue = Arc::clone(&store) as Arc<dyn JobQueue>;
    let worker = Worker::new(queue, slow, signal, clock.clone(), stop);
    let of = |user: u8, number: u16| {
        let mut subject = [user; 16];
        subject[1..3].copy_from_slice(&number.to_be_bytes());
        NewJob::thumbnail(UploadId::from_bytes(subject), UserId::from(i64::from(user)))
    };
    let crowd = (0..3900).map(|number| store.add_job(of(1, number)));
    futures_util::future::try_join_all(crowd).await.unwrap();
    let at_the_full_minute = 60 - clock.uptime().as_secs() % 60;
    clock.skip(Duration::from_secs(at_the_full_minute));
    let minute = async || {
        worker.run_due(&[JobKind::Thumbnail]).await.unwrap();
        std::mem::take(&mut *begun.lock().unwrap())
    };

    assert_eq!(minute().await, [1; 4], "20 s of the minute, though nobody else wants it");
    store.add_job(of(2, 0)).await.unwrap();
    assert_eq!(minute().await, [2], "at once, whoever else has had enough");
    clock.skip(Duration::from_secs(60));
    store.add_job(of(3, 0)).await.unwrap();
    let order = minute().await;
    assert!(order[..2].contains(&3) && order.len() == 5, "in the first round: {order:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_or_panics_waits_and_the_others_go_on() {
    let rig = Rig::new(100);
    for number in [13, 66, 1] {
        rig.add(number, 1).await;
    }
    rig.worker.run_due(&[JobKind::Thumbnail]).await.unwrap();
    assert_eq!(rig.begun(), [13, 66, 1]);
    let left = rig.listed().await;
    let errors: Vec<_> = left.iter().filter_map(|job| job.error.as_deref()).collect();
    assert_eq!(errors, ["thirteen fails", "the job panicked"]);
    assert!(left.iter().all(|job| job.run_at > rig.clock.unix_secs() && !job.running));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_gives_running_jobs_back() {
    let rig = Rig::new(0);
    rig.add(1, 1).await;
    let lanes = rig.run(1);
    rig.wait_until_begun(1).await;
    rig.stop.cancel();
    for lane in lanes {
        lane.await.unwrap();
    }
    let now = rig.clock.unix_secs();
    let again = rig.store.take_jobs(&[JobKind::Thumbnail], &[], 1, now, now + 60).await.unwrap();
    assert_eq!((again[0].deaths, again[0].failures), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_during_which_the_process_died_runs_alone() {
    let rig = Rig::new(0);
    rig.add(1, 1).await;
    rig.add(2, 2).await;
    // The process dies while it holds the first one.
    let now = rig.clock.unix_secs();
    rig.store.take_jobs(&[JobKind::Thumbnail], &[], 1, now, now).await.unwrap();
    let lanes = rig.run(2);
    rig.wait_until_begun(1).await;
    while !rig.listed().await.iter().all(|job| job.running) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(rig.begun().len(), 1, "the other one is held back, whichever it is");
    rig.noting.may_end.add_permits(2);
    while !rig.listed().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    rig.stop.cancel();
    for lane in lanes {
        lane.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_job_is_told_when_it_ends() {
    let rig = Rig::new(100);
    rig.add(1, 1).await;
    let mut settled = rig.signal.settled();
    let lanes = rig.run(1);
    settled.wait_for(JobKind::Thumbnail, [1; 16]).await;
    assert_eq!(rig.listed().await, []);
    rig.stop.cancel();
    for lane in lanes {
        lane.await.unwrap();
    }
}
