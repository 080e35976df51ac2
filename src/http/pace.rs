//! How fast a request body must arrive, and what happens to the rest of a refused one.
//!
//! Only time spent waiting for the sender counts as slowness. Time in which the server is busy or makes the sender wait
//! counts only towards the limit for the whole body. Knows no forms and no size limits.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep};

use crate::metrics::IntCounter;
use crate::words;

/// The minimum speed of a sender.
///
/// A sender starts with a credit of `grace`. Waiting for it spends credit; each byte adds the time it takes at the
/// minimum rate, up to `idle`. So a sender that is too slow is cut off soon, and one that was fast survives a pause of
/// `idle`.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Maximum time from the head of the request to the end of its body.
    pub total: Duration,
    /// Maximum time without any bytes.
    pub idle: Duration,
    /// Minimum rate in bytes per second; 0 means no minimum, and `grace` doesn't apply.
    pub min_rate: u64,
    /// Initial credit.
    pub grace: Duration,
}

impl Pace {
    /// The credit of a new sender.
    fn first_credit(&self) -> Duration {
        if self.min_rate == 0 { self.idle } else { self.grace.min(self.idle) }
    }

    /// The time that these bytes take at the minimum rate.
    fn worth(&self, bytes: usize) -> Duration {
        let nanos = (bytes as u64).saturating_mul(1_000_000_000).checked_div(self.min_rate);
        nanos.map_or(self.idle, Duration::from_nanos)
    }
}

/// Why a body was cut off.
#[derive(Debug, thiserror::Error)]
pub enum PaceError {
    /// The sender closed the connection.
    #[error("the body ended early")]
    Aborted,
    /// The sender was too slow, as the text explains.
    #[error("{0}")]
    TooSlow(String),
}

/// How much of a body has come, and how long the server waited for it. Counts what is drained, too.
#[derive(Debug, Default)]
pub struct Received {
    bytes: AtomicU64,
    waited_nanos: AtomicU64,
    /// Counts all bodies.
    total: Option<IntCounter>,
}

impl Received {
    /// Nothing yet; its bytes are also counted there.
    pub fn counted_in(total: IntCounter) -> Self {
        Self { total: Some(total), ..Self::default() }
    }

    /// Bytes that have come.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How long the server waited for the sender.
    pub fn waits(&self) -> Duration {
        Duration::from_nanos(self.waited_nanos.load(Ordering::Relaxed))
    }

    fn count(&self, bytes: usize, waited: Duration) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(total) = &self.total {
            total.inc_by(bytes as u64);
        }
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.waited_nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// Maximum number of bytes of a refused body that are read and discarded.
const DRAIN_BYTES: u64 = 64 << 20;
/// Maximum time for which a refused body is read and discarded.
const DRAIN_TIME: Duration = Duration::from_secs(30);

/// A request body that must keep pace. If its handler drops it early, the rest is read and discarded, up to a limit: a
/// browser that is still sending when the connection closes reports a network error instead of the reply (protocol,
/// section 7). Nothing more is read from a sender that was too slow.
pub struct PacedBody<B: Body<Data = Bytes> + Send + Unpin + 'static> {
    inner: Option<B>,
    clock: PaceClock,
    /// The client waits for 100 Continue, which reading the body would send.
    asks_first: bool,
}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> PacedBody<B> {
    /// Starts the time for the whole body. `asks_first` says whether the request has `Expect: 100-continue`; what comes
    /// is counted in `received`.
    pub fn new(inner: B, pace: Pace, asks_first: bool, received: Arc<Received>) -> Self {
        Self { inner: Some(inner), clock: PaceClock::new(pace, received), asks_first }
    }
}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Body for PacedBody<B> {
    type Data = Bytes;
    type Error = PaceError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PaceError>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(inner).poll_frame(cx);
        this.asks_first = false; // the client has been asked, so it sends
        let frame = match frame {
            Poll::Pending => Some(Err(ready!(this.clock.poll_wait(cx)))),
            Poll::Ready(frame) => frame.map(|frame| frame.map_err(|_| PaceError::Aborted)),
        };
        if let Some(Ok(frame)) = &frame {
            this.clock.came(length(frame));
        } else {
            this.clock.came(0);
            this.inner = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Drop for PacedBody<B> {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take().filter(|inner| !inner.is_end_stream()) else {
            return;
        };
        if self.asks_first {
            return;
        }
        let fresh = PaceClock::new(self.clock.pace, Arc::clone(&self.clock.received));
        tokio::spawn(drain(inner, std::mem::replace(&mut self.clock, fresh)));
    }
}

/// Reads and discards the rest, at the body's pace.
async fn drain<B: Body<Data = Bytes> + Send + Unpin>(mut rest: B, mut clock: PaceClock) {
    let mut left = DRAIN_BYTES;
    let drain = async {
        loop {
            let frame = tokio::select! {
                biased;
                frame = rest.frame() => frame,
                _ = std::future::poll_fn(|cx| clock.poll_wait(cx)) => return,
            };
            let Some(Ok(frame)) = frame else { return };
            clock.came(length(&frame));
            match left.checked_sub(length(&frame) as u64) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME, drain).await;
}

fn length(frame: &Frame<Bytes>) -> usize {
    frame.data_ref().map_or(0, Bytes::len)
}

/// Measures how long the server has waited for the sender, and how long it may.
struct PaceClock {
    pace: Pace,
    deadline: Instant,
    credit: Duration,
    /// When the server started waiting for the sender.
    waiting: Option<Instant>,
    /// Runs while the server waits. Created only when it is needed, because most bodies arrive before that.
    timer: Option<Pin<Box<Sleep>>>,
    received: Arc<Received>,
}

impl PaceClock {
    fn new(pace: Pace, received: Arc<Received>) -> Self {
        let deadline = Instant::now() + pace.total;
        Self { pace, deadline, credit: pace.first_credit(), waiting: None, timer: None, received }
    }

    /// Waits for the sender. Completes when that has taken too long.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<PaceError> {
        let since = self.waiting.unwrap_or_else(|| self.begin_to_wait());
        if let Some(timer) = &mut self.timer {
            ready!(timer.as_mut().poll(cx));
        }
        Poll::Ready(self.too_slow(since))
    }

    fn begin_to_wait(&mut self) -> Instant {
        let now = Instant::now();
        let until = self.deadline.min(now + self.credit);
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(until),
            None => self.timer = Some(Box::pin(tokio::time::sleep_until(until))),
        }
        *self.waiting.insert(now)
    }

    /// Counts received bytes.
    fn came(&mut self, bytes: usize) {
        let waited = self.waiting.take().map(|since| since.elapsed()).unwrap_or_default();
        self.received.count(bytes, waited);
        self.credit = self.credit.saturating_sub(waited);
        self.credit = self.credit.saturating_add(self.pace.worth(bytes)).min(self.pace.idle);
    }

    fn too_slow(&self, since: Instant) -> PaceError {
        let Pace { total, idle, min_rate, .. } = self.pace;
        let now = Instant::now();
        PaceError::TooSlow(if now >= self.deadline {
            format!("it was not complete within {}", words::duration(total))
        } else if now >= since + idle {
            format!("nothing was received for {}", words::duration(idle))
        } else {
            format!("less than {} per second were received", words::bytes(min_rate))
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;

    use super::*;

    const PACE: Pace = Pace {
        total: Duration::from_hours(1),
        idle: Duration::from_secs(30),
        min_rate: 100,
        grace: Duration::from_secs(20),
    };

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// A body that yields this many bytes after each pause.
    fn body(
        pace: Pace,
        pauses: impl IntoIterator<Item = (u64, usize), IntoIter: Send> + Send + 'static,
    ) -> PacedBody<impl Body<Data = Bytes> + Send + Unpin> {
        let pauses = pauses.into_iter();
        let frames = futures_util::stream::unfold(pauses, |mut pauses| async move {
            let (pause, bytes) = pauses.next()?;
            tokio::time::sleep(secs(pause)).await;
            Some((Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![0; bytes]))), pauses))
        });
        PacedBody::new(Box::pin(StreamBody::new(frames)), pace, false, Arc::default())
    }

    /// Reads to the end. Returns how long that took, and the error's message.
    async fn read(pace: Pace, pauses: &[(u64, usize)]) -> (u64, Option<String>) {
        let begun = Instant::now();
        let mut body = body(pace, pauses.to_vec());
        let mut error = None;
        while let Some(frame) = body.frame().await {
            error = frame.err().map(|error| error.to_string());
        }
        (begun.elapsed().as_secs(), error)
    }

    fn says(error: Option<&String>, words: &str) -> bool {
        error.is_some_and(|error| error.contains(words))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_of_one_byte_per_second_is_cut_off_after_the_grace() {
        let (took, error) = read(PACE, &[(1, 1); 100]).await;
        assert_eq!(took, 20);
        assert!(says(error.as_ref(), "less than 100 bytes per second"), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_begins_is_cut_off_after_the_grace() {
        assert_eq!(read(PACE, &[(1000, 1)]).await.0, 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_at_the_minimum_rate_is_read_to_its_end() {
        let (took, error) = read(PACE, &[(1, 100); 200]).await;
        assert_eq!((took, error), (200, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_becomes_slow_is_cut_off_after_the_idle_time() {
        let fast = [(1, 1000); 20];
        let slow = [(1, 1); 100];
        let (took, error) = read(PACE, &[fast.as_slice(), &slow].concat()).await;
        assert_eq!(took, 50);
        assert!(says(error.as_ref(), "less than"), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_after_enough_bytes_is_cut_off_by_the_idle_limit() {
        let (took, error) = read(PACE, &[(1, 5000), (1000, 1)]).await;
        assert_eq!(took, 31);
        assert!(says(error.as_ref(), "nothing was received for 30 s"), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_body_survives_a_pause_within_the_idle_limit() {
        let (_, error) = read(PACE, &[(1, 5000), (29, 5000), (29, 5000), (1, 1)]).await;
        assert_eq!(error, None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_for_the_whole_body_is_limited_too() {
        let pace = Pace { total: secs(50), ..PACE };
        let (took, error) = read(pace, &[(1, 1000); 100]).await;
        assert_eq!(took, 50);
        assert!(says(error.as_ref(), "within 50 s"), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_minimum_rate_an_occasional_byte_is_enough() {
        let pace = Pace { min_rate: 0, ..PACE };
        assert_eq!(read(pace, &[(25, 1); 100]).await, (2500, None));
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_reads_does_not_count_against_the_sender() {
        let mut body = body(PACE, [(1, 1), (1, 1), (1, 1)]);
        for _ in 0..3 {
            body.frame().await.unwrap().unwrap();
            tokio::time::sleep(secs(100)).await;
        }
        assert!(body.frame().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_refused_body_is_dropped_once_it_is_too_slow() {
        let (held, gone) = tokio::sync::oneshot::channel::<()>();
        let pauses = std::iter::repeat((1, 1)).inspect(move |_| _ = &held);
        let body = body(PACE, pauses);
        let begun = Instant::now();
        drop(body);
        gone.await.unwrap_err();
        assert_eq!(begun.elapsed().as_secs(), 20);
    }
}
