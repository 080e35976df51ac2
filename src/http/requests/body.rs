//! The body of a reply, watched: how many bytes the connection has taken, and whether all.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http_body::{Body as _, Frame, SizeHint};

use super::seen::Seen;

/// A reply's body, and the request that ends with it.
///
/// hyper drops a body without asking for its end once it has as many bytes as the head says, and never asks for any
/// where none may follow, as after HEAD.
pub(super) struct SeenBody {
    inner: Body,
    seen: Seen,
    /// Bytes that the head announces.
    announced: Option<u64>,
    /// The last frame, which the connection has not taken as a whole before it asks for the next: its bytes, and when
    /// it was handed over.
    last: Option<(u64, Instant)>,
}

impl SeenBody {
    /// Watches this body of a reply with this head.
    pub(super) fn new(mut seen: Seen, inner: Body, head: &Parts) -> Self {
        let length = head.headers.get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let announced = length.or_else(|| inner.size_hint().exact());
        seen.facts.complete =
            seen.facts.method == "HEAD" || announced == Some(0) || inner.is_end_stream();
        Self { inner, seen, announced, last: None }
    }

    /// Counts the last frame: the connection has taken it.
    fn taken(&mut self) {
        if let Some((bytes, since)) = self.last.take() {
            self.seen.sent(bytes, since.elapsed());
        }
    }
}

impl http_body::Body for SeenBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        this.taken();
        let inner = Pin::new(&mut this.inner);
        let frame = ready!(this.seen.context().during(|| inner.poll_frame(cx)));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                if this.seen.facts.sent == 0 {
                    this.seen.first_byte();
                }
                this.last = Some((bytes, Instant::now()));
                let all = this.announced.is_some_and(|all| this.seen.facts.sent + bytes >= all);
                this.seen.facts.complete = all || this.inner.is_end_stream();
            }
            Some(Err(_)) => {}
            None => this.seen.facts.complete = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for SeenBody {
    fn drop(&mut self) {
        if self.seen.facts.complete {
            self.taken();
        }
    }
}
