//! How much of a request's time the stores take. It is counted for the task of the request, and for tasks that continue
//! its work.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static SPENT: Arc<Spent>;
}

/// Time that a request has spent in the stores so far. Each of several parallel operations counts.
#[derive(Debug, Default)]
pub struct Spent {
    database: Micros,
    files: Micros,
}

#[derive(Debug, Default)]
struct Micros(AtomicU64);

impl Micros {
    fn add(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn time(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

impl Spent {
    /// Time in the database, including waiting for its turn.
    pub fn database(&self) -> Duration {
        self.database.time()
    }

    /// Time with the bytes of files.
    pub fn files(&self) -> Duration {
        self.files.time()
    }

    /// Runs the work of a request, whose time in the stores is counted here.
    pub fn of<T: Future>(self: Arc<Self>, work: T) -> TaskLocalFuture<Arc<Self>, T> {
        SPENT.scope(self, work)
    }

    /// Wraps work that another task does for the current one, so that its time counts as the current one's.
    pub fn on_behalf<T: Future>(work: T) -> TaskLocalFuture<Arc<Self>, T> {
        let spent = SPENT.try_with(Arc::clone).unwrap_or_default();
        SPENT.scope(spent, work)
    }

    /// Adds time in the database.
    pub fn in_database(time: Duration) {
        let _ = SPENT.try_with(|spent| spent.database.add(time)); // not part of a request
    }

    /// Adds time with the bytes of files.
    pub fn in_files(time: Duration) {
        let _ = SPENT.try_with(|spent| spent.files.add(time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_another_task_does_counts_as_the_requests() {
        let spent = Arc::new(Spent::default());
        let request = async {
            Spent::in_files(Duration::from_millis(1));
            let work = Spent::on_behalf(async { Spent::in_database(Duration::from_millis(2)) });
            tokio::spawn(work).await.unwrap();
        };
        Arc::clone(&spent).of(request).await;
        Spent::in_files(Duration::from_secs(1)); // not part of a request
        assert_eq!(spent.files(), Duration::from_millis(1));
        assert_eq!(spent.database(), Duration::from_millis(2));
    }
}
