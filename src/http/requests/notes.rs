//! What becomes known of a request while it is answered: an extension of every request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Extensions;

use crate::http::pace::Received;
use crate::ids::{UploadId, UserId};
use crate::metrics::IntCounter;

/// What a request asks for, where its route alone doesn't say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Stores a chunk.
    Chunk,
    /// Appends bytes to an upload.
    Append,
    /// Stores a file that comes in one request.
    File,
    /// Stores a thumbnail.
    Thumbnail,
    /// Finishes an upload.
    Done,
}

impl Operation {
    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chunk => "chunk",
            Self::Append => "append",
            Self::File => "file",
            Self::Thumbnail => "thumbnail",
            Self::Done => "done",
        }
    }
}

/// What is known of a request so far. What is noted first stays. Clones are the same request.
#[derive(Clone, Default)]
pub struct Notes(Arc<Known>);

#[derive(Default)]
struct Known {
    received: Arc<Received>,
    user: OnceLock<UserId>,
    upload: OnceLock<UploadId>,
    operation: OnceLock<Operation>,
    /// Microseconds.
    waited: AtomicU64,
}

impl Notes {
    /// Of a request whose bytes are also counted there.
    pub(super) fn counted_in(total: IntCounter) -> Self {
        let received = Arc::new(Received::counted_in(total));
        Self(Arc::new(Known { received, ..Known::default() }))
    }

    /// Those of the request with these extensions.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_default()
    }

    /// The user has identified themselves.
    pub fn user(&self, user: &UserId) {
        let _ = self.0.user.set(user.clone());
    }

    /// It is about this upload or file.
    pub fn upload(&self, upload: UploadId) {
        let _ = self.0.upload.set(upload);
    }

    /// It turned out to be this.
    pub fn operation(&self, operation: Operation) {
        let _ = self.0.operation.set(operation);
    }

    /// It waited so long because of a limit.
    pub fn waited(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.waited.fetch_add(micros, Ordering::Relaxed);
    }

    /// How long it waited because of limits.
    pub(super) fn all_waits(&self) -> Duration {
        Duration::from_micros(self.0.waited.load(Ordering::Relaxed))
    }

    pub(super) fn known_user(&self) -> Option<&str> {
        self.0.user.get().map(UserId::as_str)
    }

    pub(super) fn known_upload(&self) -> Option<UploadId> {
        self.0.upload.get().copied()
    }

    pub(super) fn known_operation(&self) -> Option<Operation> {
        self.0.operation.get().copied()
    }

    /// What is counted of its body.
    pub fn received(&self) -> &Arc<Received> {
        &self.0.received
    }
}
