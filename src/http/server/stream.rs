//! The stream of a connection: for slow readers, writes only a little to the system at a time, and ends the connection
//! of a client that reads too little. Knows nothing about requests.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// Number of bytes written at once at first, and after the client was slow. It soon becomes clear if even these aren't
/// read.
const FIRST_BURST: usize = 16 * 1024;
/// A client that makes the server wait longer than this is slow.
const SLOW: Duration = Duration::from_secs(1);

/// A stream that can tell when the system has sent most of the bytes written to it.
pub(super) trait Drains {
    /// Waits until the system has sent most of them.
    fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Drains for TcpStream {
    /// A successful write isn't enough: it may only fill up a packet, however much is unsent.
    fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let drained = || {
            let mut sockets = [PollFd::new(self, PollFlags::OUT)];
            match poll(&mut sockets, Some(&Timespec::default()))? {
                0 => Err(io::ErrorKind::WouldBlock.into()), // clears the readiness, so that the next event is waited for
                _ => Ok(()),
            }
        };
        loop {
            ready!(self.poll_write_ready(cx))?;
            match self.try_io(Interest::WRITABLE, drained) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                looked => return Poll::Ready(looked),
            }
        }
    }
}

/// A client that reads this many bytes per send time-out is never cut off: 1 KiB per second for 60 s.
const LEAST_BYTES: u32 = 60 * 1024;
/// Maximum number of send time-outs for which to wait for a client.
const LONGEST_WAITS: u32 = 3;

/// The stream of a connection. A write fails if the client reads nothing for too long.
///
/// The client's system may acknowledge nothing while the client reads 128 KiB or more from its buffer, because TCP
/// announces free space only when there is a lot of it. So written bytes earn credit: the time that reading them takes
/// at the minimum rate. Waiting spends it. A client is cut off once both the send time-out and its credit are used up.
pub(super) struct PatientStream<S> {
    stream: S,
    /// Whether anything was read, for [`super::HeadTimer`].
    came: Arc<AtomicBool>,
    send: Duration,
    /// Number of bytes to write at once. Grows while the client reads fast.
    burst: usize,
    /// The client's credit.
    credit: Duration,
    /// When the server started waiting for the client, and until when it waits.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S: AsyncRead + AsyncWrite + Drains + Unpin> PatientStream<S> {
    pub(super) fn new(stream: S, send: Duration, came: Arc<AtomicBool>) -> Self {
        let credit = Duration::ZERO;
        Self { stream, came, send, burst: FIRST_BURST, credit, waiting: None }
    }

    /// Writes as soon as most of the previous bytes have been sent. Fails if that takes too long.
    fn poll_patiently(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(written) = self.poll_write_first(cx, slices) else {
            ready!(self.poll_patience(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        };
        self.end_wait();
        if let Ok(count) = written {
            self.earn(count);
        }
        Poll::Ready(written)
    }

    /// Writes the first bytes of these slices once the system has sent most of the previous ones.
    fn poll_write_first(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.stream.poll_drained(cx))?;
        if self.waiting.as_ref().is_some_and(|(begun, _)| begun.elapsed() >= SLOW) {
            self.burst = FIRST_BURST;
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, &first(slices, self.burst))
    }

    /// Completes once the client has taken too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let longest = self.send.max(self.credit);
        let (_, end) = self
            .waiting
            .get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(longest))));
        end.as_mut().poll(cx)
    }

    fn end_wait(&mut self) {
        if let Some((begun, _)) = self.waiting.take() {
            self.credit = self.credit.saturating_sub(begun.elapsed());
        }
    }

    /// Gives the client credit for written bytes.
    fn earn(&mut self, count: usize) {
        if count == self.burst {
            self.burst *= 2;
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let earned = self.send.saturating_mul(count) / LEAST_BYTES;
        self.credit = (self.credit + earned).min(self.send.saturating_mul(LONGEST_WAITS));
    }
}

/// The first bytes of these slices, up to a limit. hyper passes at most two: a head and a piece of a body.
fn first<'a>(slices: &'a [IoSlice<'_>], most: usize) -> [IoSlice<'a>; 2] {
    let mut left = most;
    let mut slices = slices.iter().filter(|slice| !slice.is_empty()).map(|slice| {
        let cut = &slice[..slice.len().min(left)];
        left -= cut.len();
        IoSlice::new(cut)
    });
    let mut next = || slices.next().unwrap_or(IoSlice::new(&[]));
    [next(), next()]
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientStream<S> {
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

impl<S: AsyncRead + AsyncWrite + Drains + Unpin> AsyncWrite for PatientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_patiently(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_patiently(cx, slices)
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    const SEND: Duration = Duration::from_mins(1);

    impl Drains for DuplexStream {
        fn poll_drained(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn pipe(bytes: usize) -> (PatientStream<DuplexStream>, DuplexStream) {
        let (near, far) = tokio::io::duplex(bytes);
        (PatientStream::new(near, SEND, Arc::default()), far)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_cut_off() {
        let (mut near, _far) = pipe(1000);
        let begun = Instant::now();
        let error = near.write_all(&[0; 5000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), SEND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_occasionally_gets_everything() {
        let (mut near, mut far) = pipe(1000);
        let taking = async {
            let mut taken = [0; 5000];
            for piece in taken.chunks_mut(500) {
                tokio::time::sleep(SEND * 59 / 60).await;
                far.read_exact(piece).await.unwrap();
            }
        };
        let (sent, ()) = tokio::join!(near.write_all(&[0; 5000]), taking);
        sent.unwrap();
    }

    /// The result of writing to a client that reads everything in its system's buffer after each pause of this length.
    async fn taken_in_steps(step: usize, pause: Duration) -> io::Result<()> {
        let (mut near, mut far) = pipe(step);
        let file = vec![0; 10 * step];
        let taking = async {
            let mut taken = vec![0; step];
            for _ in 0..10 {
                tokio::time::sleep(pause).await;
                if far.read_exact(&mut taken).await.is_err() {
                    return;
                }
            }
        };
        let sending = async move {
            let sent = near.write_all(&file).await;
            drop(near);
            sent
        };
        tokio::join!(sending, taking).0
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_1_kib_per_second_is_never_cut_off() {
        for step in [1, 16, 60, 128, 160] {
            let sent = taken_in_steps(step << 10, Duration::from_secs(step as u64)).await;
            sent.unwrap_or_else(|error| panic!("{step} KiB at once: {error}"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_half_of_that_is_cut_off() {
        for step in [60, 128, 160] {
            let sent = taken_in_steps(step << 10, Duration::from_secs(2 * step as u64 + 5)).await;
            assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::TimedOut, "{step} KiB at once");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_client_is_waited_for_longer_than_three_time_outs() {
        let (mut near, mut far) = pipe(1 << 20);
        let file = vec![0; 9 << 20];
        let taking = async { far.read_exact(&mut vec![0; 8 << 20]).await.unwrap() };
        let begun = Instant::now();
        let (sent, _) = tokio::join!(near.write_all(&file), taking);
        sent.unwrap();
        let error = near.write_all(&file).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), 3 * SEND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_fast_gets_more_and_more_at_once() {
        let (mut near, _far) = pipe(10 << 20);
        let file = vec![0; 100_000];
        assert_eq!(near.write(&file).await.unwrap(), FIRST_BURST);
        assert_eq!(near.write(&file).await.unwrap(), 2 * FIRST_BURST);
        assert_eq!(near.write(&file).await.unwrap(), 4 * FIRST_BURST);
        assert_eq!(near.write(&file).await.unwrap(), file.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_became_slow_gets_little_at_once() {
        let (mut near, mut far) = pipe(250_000);
        let file = vec![0; 100_000];
        while near.write(&file).await.unwrap() < file.len() {}
        let taking = async {
            tokio::time::sleep(SLOW).await;
            far.read_exact(&mut vec![0; 250_000]).await.unwrap();
        };
        let filling = async {
            loop {
                let begun = Instant::now();
                let count = near.write(&file).await.unwrap();
                if begun.elapsed() >= SLOW {
                    return count;
                }
            }
        };
        let (count, ()) = tokio::join!(filling, taking);
        assert_eq!(count, FIRST_BURST);
    }

    #[test]
    fn a_head_is_written_together_with_what_fits_beside_it() {
        let slices = [b"".as_slice(), b"head", b"body"].map(IoSlice::new);
        let cut = |most| first(&slices, most).map(|slice| slice.to_vec());
        assert_eq!(cut(10), [b"head".to_vec(), b"body".to_vec()]);
        assert_eq!(cut(6), [b"head".to_vec(), b"bo".to_vec()]);
        assert_eq!(cut(3), [b"hea".to_vec(), b"".to_vec()]);
    }

    #[tokio::test]
    async fn a_read_sets_the_flag() {
        let (mut near, mut far) = pipe(1000);
        far.write_all(b"GET").await.unwrap();
        near.read_u8().await.unwrap();
        assert!(near.came.load(Ordering::Relaxed));
    }
}
