//! The request that a task or thread works for: the ids that every line logged meanwhile has, and how much of the
//! request's time the stores take.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static CURRENT: Option<Arc<RequestContext>>;
}

/// Work of a request, or of none.
pub type InContext<T> = TaskLocalFuture<Option<Arc<RequestContext>>, T>;

/// What the log and the stores need to know of a request, and what they add.
#[derive(Debug, Default)]
pub struct RequestContext {
    /// The id of the request.
    pub id: String,
    /// The client's trace (W3C Trace Context).
    pub traceparent: Option<String>,
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

impl RequestContext {
    /// A request that has just begun.
    pub fn new(id: String, traceparent: Option<String>) -> Self {
        Self { id, traceparent, ..Self::default() }
    }

    /// Time in the database so far, including waiting for its turn. Each of several parallel operations counts.
    pub fn database(&self) -> Duration {
        self.database.time()
    }

    /// Time with the bytes of files so far. Each of several parallel operations counts.
    pub fn files(&self) -> Duration {
        self.files.time()
    }

    /// Runs the work of this request.
    pub fn of<T: Future>(self: Arc<Self>, work: T) -> InContext<T> {
        CURRENT.scope(Some(self), work)
    }

    /// Does some work of this request at once.
    pub fn during<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(Some(Arc::clone(self)), work)
    }
}

/// The current request, if there is one.
pub(super) fn current() -> Option<Arc<RequestContext>> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// Wraps work that another task does for the current request.
pub fn on_behalf<T: Future>(work: T) -> InContext<T> {
    CURRENT.scope(current(), work)
}

/// Wraps work that another thread does for the current request.
pub fn in_thread<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let current = current();
    move || CURRENT.sync_scope(current, work)
}

/// Adds time in the database to the current request.
pub fn spent_in_database(time: Duration) {
    add(time, |request| &request.database);
}

/// Adds time with the bytes of files to the current request.
pub fn spent_on_files(time: Duration) {
    add(time, |request| &request.files);
}

fn add(time: Duration, to: impl FnOnce(&RequestContext) -> &Micros) {
    let _ = CURRENT.try_with(|current| current.as_deref().map(|request| to(request).add(time)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_in_other_tasks_and_threads_is_the_requests() {
        let request = Arc::new(RequestContext::new("a1".into(), None));
        let work = async {
            spent_on_files(Duration::from_millis(1));
            let task = on_behalf(async {
                spent_in_database(Duration::from_millis(2));
                let thread = in_thread(|| current().map(|request| request.id.clone()));
                tokio::task::spawn_blocking(thread).await.unwrap()
            });
            tokio::spawn(task).await.unwrap()
        };
        assert_eq!(Arc::clone(&request).of(work).await.as_deref(), Some("a1"));
        spent_on_files(Duration::from_secs(1)); // not part of a request
        assert_eq!(request.files(), Duration::from_millis(1));
        assert_eq!(request.database(), Duration::from_millis(2));
    }
}
