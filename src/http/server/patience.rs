//! Time-outs for the head of a request, and between requests. Knows nothing about requests except when hyper starts
//! waiting for one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// Time-outs of a connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionTimes {
    /// From the first byte of a request to the end of its head. For the first request, from the start of the
    /// connection.
    pub head: Duration,
    /// Between requests.
    pub idle: Duration,
    /// Until the client reads some of a reply. Longer after much was sent; see `stream`.
    pub send: Duration,
}

/// Tells whether connections are so scarce that idle ones must end.
pub(super) type Scarce = Arc<dyn Fn() -> bool + Send + Sync>;

/// hyper's timer for one connection. hyper has one time-out, from when it starts waiting for a request to the end of
/// its head. This timer waits longer for the first byte than for the rest, so that a slow head is cut off soon while an
/// idle connection stays open.
pub(super) struct HeadTimer {
    times: ConnectionTimes,
    came: Arc<AtomicBool>,
    scarce: Scarce,
    /// Whether this is the first head of the connection.
    first: AtomicBool,
}

impl HeadTimer {
    pub(super) fn new(times: ConnectionTimes, came: Arc<AtomicBool>, scarce: Scarce) -> Self {
        Self { times, came, scarce, first: AtomicBool::new(true) }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        // A new connection must not be idle.
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

/// Completes when a head takes too long, or doesn't start.
struct HeadSleep {
    head: Duration,
    idle_until: tokio::time::Instant,
    came: Arc<AtomicBool>,
    scarce: Scarce,
    /// Whether the head has started; then `sleep` is its time-out.
    begun: bool,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    /// hyper polls this after each read that doesn't complete the head.
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
            // Check regularly whether connections have become scarce.
            this.sleep.as_mut().reset(this.idle_until.min(now + this.head));
        }
    }
}

#[cfg(test)]
mod tests {
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

    /// Number of seconds after which hyper's wait would end. If `first_byte` is given, a byte arrives then.
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
    async fn a_new_connection_has_the_time_out_of_a_head() {
        assert_eq!(waits(&timer(false), None).await, 15);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_between_requests_has_the_idle_time_out() {
        let timer = timer(false);
        waits(&timer, None).await;
        assert_eq!(waits(&timer, None).await, 75);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_out_of_a_later_head_starts_at_its_first_byte() {
        let timer = timer(false);
        waits(&timer, None).await;
        assert_eq!(waits(&timer, Some(50)).await, 65);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_connections_are_closed_early_when_connections_are_scarce() {
        let timer = timer(true);
        waits(&timer, None).await;
        assert_eq!(waits(&timer, None).await, 15);
    }
}
