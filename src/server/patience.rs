//! How long a connection's client is waited for: for the head of a request, between requests, and until it
//! takes what is sent. Knows nothing of requests but when hyper begins to wait for one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long clients are waited for.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionTimes {
    /// From the first byte of a request (of the first one: from the connection's begin) to the end of its head.
    pub head: Duration,
    /// Without a request.
    pub idle: Duration,
    /// Until the client takes some of what is sent.
    pub send: Duration,
}

/// A connection's stream. A write fails when the client takes nothing for too long.
///
/// There is no least rate: the system reports progress only once a good part of its buffer is free, so whoever
/// makes any has read kilobytes.
pub(super) struct PatientStream<S> {
    stream: S,
    /// Whether something was read; [`HeadTimer`] asks.
    came: Arc<AtomicBool>,
    send: Duration,
    /// Runs while the client is waited for.
    stalled: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> PatientStream<S> {
    pub(super) fn new(stream: S, send: Duration, came: Arc<AtomicBool>) -> Self {
        Self { stream, came, send, stalled: None }
    }

    /// Runs the clock of a write that can't go on.
    fn patiently<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let written = write(Pin::new(&mut self.stream), cx);
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let send = self.send;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(send)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for PatientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.came.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for PatientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.patiently(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.patiently(cx, |stream, cx| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Whether connections have become so scarce that idle ones must go.
pub(super) type Scarce = Arc<dyn Fn() -> bool + Send + Sync>;

/// hyper's timer of one connection. hyper knows one time-out, from when it begins to wait for a request to the
/// end of its head; this one waits longer for the first byte than for the rest, so that a slow head is ended
/// soon while an idle connection stays open.
pub(super) struct HeadTimer {
    times: ConnectionTimes,
    came: Arc<AtomicBool>,
    scarce: Scarce,
    /// No request has been waited for yet.
    first: AtomicBool,
}

impl HeadTimer {
    pub(super) fn new(times: ConnectionTimes, came: Arc<AtomicBool>, scarce: Scarce) -> Self {
        Self { times, came, scarce, first: AtomicBool::new(true) }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        // A new connection gets no time to be idle in.
        let first = self.first.swap(false, Ordering::Relaxed);
        self.came.store(first, Ordering::Relaxed);
        let now = tokio::time::Instant::now();
        Box::pin(HeadSleep {
            head: self.times.head,
            idle_until: now + self.times.idle,
            came: Arc::clone(&self.came),
            scarce: Arc::clone(&self.scarce),
            begun: first,
            sleep: Box::pin(tokio::time::sleep(self.times.head.min(self.times.idle))),
        })
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(Duration::ZERO)
    }
}

/// Ends when a head takes too long, or does not begin.
struct HeadSleep {
    head: Duration,
    idle_until: tokio::time::Instant,
    came: Arc<AtomicBool>,
    scarce: Scarce,
    /// The head has begun to come; since then `sleep` is its time-out.
    begun: bool,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    /// hyper polls this after each read that did not complete the head.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if !this.begun && this.came.load(Ordering::Relaxed) {
            this.begun = true;
            this.sleep.as_mut().reset(tokio::time::Instant::now() + this.head);
        }
        loop {
            ready!(this.sleep.as_mut().poll(cx));
            let now = tokio::time::Instant::now();
            if this.begun || now >= this.idle_until || (this.scarce)() {
                return Poll::Ready(());
            }
            // Looks again from time to time whether connections have become scarce.
            this.sleep.as_mut().reset(this.idle_until.min(now + this.head));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    const TIMES: ConnectionTimes = ConnectionTimes {
        head: Duration::from_secs(15),
        idle: Duration::from_secs(75),
        send: Duration::from_mins(1),
    };

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// Seconds after which hyper would be told that its wait is over; something comes after `first_byte`.
    async fn waits(timer: &HeadTimer, first_byte: Option<u64>) -> u64 {
        let begun = Instant::now();
        let mut sleep = timer.sleep_until(begun.into_std());
        if let Some(after) = first_byte {
            let early = tokio::time::timeout(secs(after), &mut sleep).await;
            assert!(early.is_err(), "over before the first byte");
            timer.came.store(true, Ordering::Relaxed);
        }
        sleep.await;
        begun.elapsed().as_secs()
    }

    fn timer(scarce: bool) -> HeadTimer {
        HeadTimer::new(TIMES, Arc::default(), Arc::new(move || scarce))
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_has_the_time_of_a_head() {
        assert_eq!(waits(&timer(false), None).await, 15);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_between_requests_has_the_time_of_idle_ones() {
        let timer = timer(false);
        waits(&timer, None).await;
        assert_eq!(waits(&timer, None).await, 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_head_has_its_time_from_its_first_byte_on() {
        let timer = timer(false);
        waits(&timer, None).await;
        assert_eq!(waits(&timer, Some(50)).await, 65);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_connections_go_early_when_they_are_scarce() {
        let timer = timer(true);
        waits(&timer, None).await;
        assert_eq!(waits(&timer, None).await, 15);
    }

    fn pipe() -> (PatientStream<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(1000);
        (PatientStream::new(near, TIMES.send, Arc::default()), far)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (mut near, _far) = pipe();
        let begun = Instant::now();
        let error = near.write_all(&[0; 5000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), TIMES.send);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_something_now_and_then_gets_everything() {
        let (mut near, mut far) = pipe();
        let taking = async {
            let mut taken = [0; 5000];
            for piece in taken.chunks_mut(500) {
                tokio::time::sleep(secs(59)).await;
                far.read_exact(piece).await.unwrap();
            }
        };
        let (sent, ()) = tokio::join!(near.write_all(&[0; 5000]), taking);
        sent.unwrap();
    }

    #[tokio::test]
    async fn a_read_is_noticed() {
        let (mut near, mut far) = pipe();
        far.write_all(b"GET").await.unwrap();
        near.read_u8().await.unwrap();
        assert!(near.came.load(Ordering::Relaxed));
    }
}
