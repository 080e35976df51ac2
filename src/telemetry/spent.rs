//! Where the time of a request goes inside the server: how much of it the stores take. It belongs to the task, and to those
//! that go on with its work.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static SPENT: Arc<Spent>;
}

/// Time that a request has spent in the stores so far. Operations in parallel count each.
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
    /// In the database, including waits for its turn.
    pub fn database(&self) -> Duration {
        self.database.time()
    }

    /// With the bytes of files.
    pub fn files(&self) -> Duration {
        self.files.time()
    }

    /// Runs the work of a request, whose time in the stores counts here.
    pub fn of<T: Future>(self: Arc<Self>, work: T) -> TaskLocalFuture<Arc<Self>, T> {
        SPENT.scope(self, work)
    }

    /// Runs work that another task is to do for this one, which counts the same.
    pub fn on_behalf<T: Future>(work: T) -> TaskLocalFuture<Arc<Self>, T> {
        let spent = SPENT.try_with(Arc::clone).unwrap_or_default();
        SPENT.scope(spent, work)
    }

    /// Counts time in the database.
    pub fn in_database(time: Duration) {
        let _ = SPENT.try_with(|spent| spent.database.add(time)); // of no request: nobody asks
    }

    /// Counts time with the bytes of files.
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
        Spent::in_files(Duration::from_secs(1)); // of no request
        assert_eq!(spent.files(), Duration::from_millis(1));
        assert_eq!(spent.database(), Duration::from_millis(2));
    }
}
