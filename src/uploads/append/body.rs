//! Cuts a body into pieces, each of which is recorded before the next one.

use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use crate::storage::BodyError;

/// Waits for the next bytes of a body. Returns `false` if there are no more.
pub(super) async fn has_more<S>(
    carried: &mut Bytes,
    mut body: Pin<&mut S>,
) -> Result<bool, BodyError>
where
    S: Stream<Item = Result<Bytes, BodyError>> + ?Sized,
{
    while carried.is_empty() {
        match body.next().await {
            Some(frame) => *carried = frame?,
            None => return Ok(false),
        }
    }
    Ok(true)
}

/// Returns the next bytes of a body, at most `left` of them, starting with those `carried` over from the piece before.
/// What exceeds this piece is left in `carried`.
pub(super) fn piece<S>(
    carried: &mut Bytes,
    mut body: Pin<&mut S>,
    mut left: u64,
) -> impl Stream<Item = Result<Bytes, BodyError>>
where
    S: Stream<Item = Result<Bytes, BodyError>>,
{
    stream::poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        let mut frame = std::mem::take(carried);
        if frame.is_empty() {
            frame = match ready!(body.as_mut().poll_next(context)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
        }
        let fits = usize::try_from(left).unwrap_or(usize::MAX).min(frame.len());
        if fits < frame.len() {
            *carried = frame.split_off(fits);
        }
        left -= fits as u64;
        Poll::Ready(Some(Ok(frame)))
    })
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_body_is_cut_into_pieces_wherever_its_frames_end() {
        let frames = ["", "ab", "cdefghijk", "", "l", "mn"].map(|frame| Ok(Bytes::from(frame)));
        let mut body = pin!(stream::iter(frames));
        let (mut carried, mut pieces) = (Bytes::new(), Vec::new());
        while has_more(&mut carried, body.as_mut()).await.unwrap() {
            let frames: Vec<_> = piece(&mut carried, body.as_mut(), 4).collect().await;
            let frames: Vec<Bytes> = frames.into_iter().map(Result::unwrap).collect();
            pieces.push(String::from_utf8(frames.concat()).unwrap());
        }
        assert_eq!(pieces, ["abcd", "efgh", "ijkl", "mn"]);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_ends_its_piece_with_the_error() {
        let frames = [Ok(Bytes::from("abc")), Err(BodyError::Aborted)];
        let mut body = pin!(stream::iter(frames));
        let mut carried = Bytes::new();
        let frames: Vec<_> = piece(&mut carried, body.as_mut(), 8).collect().await;
        assert_eq!(frames, [Ok(Bytes::from("abc")), Err(BodyError::Aborted)]);
    }
}
