//! Times and counts the operations of any store.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};

use super::{
    BlobStore, BodyError, Claims, Error, Extents, Incoming, Listing, Outgoing, SettleError, Source,
    Target, Unready, WriteError, Written,
};
use crate::ids::BlobId;
use crate::media::Patch;
use crate::metrics::{OperationMetrics, StorageMetrics};
use crate::telemetry::spent_on_files;

/// A store whose operations are timed and counted. Missing bytes and a full store don't count as errors.
pub struct MeasuredStore {
    store: Arc<dyn BlobStore>,
    metrics: StorageMetrics,
}

impl MeasuredStore {
    /// Wraps this store.
    pub fn new(store: Arc<dyn BlobStore>, metrics: StorageMetrics) -> Self {
        Self { store, metrics }
    }

    async fn measured<T>(
        metrics: &OperationMetrics,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let outcome = operation.await;
        count(metrics, begun.elapsed(), matches!(outcome, Err(Error::Failed(_))));
        outcome
    }
}

/// Counts an operation, and adds its time to the request that caused it.
fn count(metrics: &OperationMetrics, took: Duration, failed: bool) {
    metrics.ran(took, failed);
    spent_on_files(took);
}

#[async_trait::async_trait]
impl BlobStore for MeasuredStore {
    fn claims(&self) -> Option<&Arc<Claims>> {
        self.store.claims()
    }

    /// Excludes the time spent waiting for the sender. Errors of the sender don't count.
    async fn write(
        &self,
        target: Target,
        limit: u64,
        body: Incoming<'_>,
    ) -> Result<Written, WriteError> {
        let mut body = TimedBody { body, since: None, waited: Duration::ZERO };
        let (begun, incoming) = (Instant::now(), Pin::new(&mut body));
        let written = self.store.write(target, limit, incoming).await;
        let took = begun.elapsed().saturating_sub(body.waited);
        let failed = matches!(written, Err(WriteError::Store(Error::Failed(_))));
        count(&self.metrics.write, took, failed);
        written
    }

    async fn settle(&self, extents: &Extents) -> Result<(), SettleError> {
        let begun = Instant::now();
        let settled = self.store.settle(extents).await;
        self.metrics.sync.observe(begun.elapsed().as_secs_f64());
        count(&self.metrics.settle, begun.elapsed(), settled.is_err());
        settled
    }

    async fn rewrite(&self, extents: &Extents, patches: &[Patch]) -> Result<Extents, Error> {
        Self::measured(&self.metrics.rewrite, self.store.rewrite(extents, patches)).await
    }

    fn reader(&self, extents: &Extents) -> Result<Box<dyn Source>, Error> {
        self.store.reader(extents)
    }

    /// Times how long opening takes, and counts every piece that can't be read.
    async fn read(
        &self,
        extents: &Extents,
        range: Range<u64>,
        piece: usize,
    ) -> Result<Outgoing, Error> {
        let bytes =
            Self::measured(&self.metrics.read, self.store.read(extents, range, piece)).await?;
        let errors = self.metrics.read.errors.clone();
        Ok(Box::pin(bytes.inspect_err(move |_| errors.inc())))
    }

    fn proxy_path(&self, extents: &Extents) -> Option<String> {
        self.store.proxy_path(extents)
    }

    async fn room(&self) -> Result<u64, Error> {
        self.store.room().await
    }

    async fn delete(&self, blobs: &[BlobId]) -> Result<(), Error> {
        Self::measured(&self.metrics.delete, self.store.delete(blobs)).await
    }

    async fn size(&self, blob: BlobId) -> Result<Option<u64>, Error> {
        self.store.size(blob).await
    }

    fn list_older_than(&self, unix_secs: u64) -> Listing {
        self.store.list_older_than(unix_secs)
    }

    async fn marker(&self) -> Result<Option<BlobId>, Error> {
        self.store.marker().await
    }

    async fn mark(&self, id: BlobId) -> Result<(), Error> {
        self.store.mark(id).await
    }

    async fn is_itself(&self) -> Result<(), Error> {
        self.store.is_itself().await
    }

    async fn check(&self) -> Result<(), Unready> {
        self.store.check().await
    }
}

/// A body that measures how long the store waited for it.
struct TimedBody<'a> {
    body: Incoming<'a>,
    /// When the store began to wait, if it is waiting.
    since: Option<Instant>,
    waited: Duration,
}

impl Stream for TimedBody<'_> {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let since = *this.since.get_or_insert_with(Instant::now);
        let next = ready!(this.body.as_mut().poll_next(cx));
        this.since = None;
        this.waited += since.elapsed();
        Poll::Ready(next)
    }
}
