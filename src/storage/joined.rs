//! Reads bytes through their extents as if they were contiguous. Shared by all stores.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{Error, Extent, Extents, Outgoing};
use crate::ids::BlobId;

/// A blob with random access. Reading may block.
pub trait ReadAt: Send + Sync {
    /// Reads bytes starting at `offset`, and returns how many. Returns 0 after the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// Reads extents as one source of bytes, for blocking code.
pub struct Reader<B> {
    /// The extents, each with the offset at which it ends.
    extents: Vec<(u64, Extent)>,
    blobs: HashMap<BlobId, B>,
    at: u64,
}

impl<B: ReadAt> Reader<B> {
    /// Opens all blobs that contain bytes of these extents.
    pub fn open(
        extents: &Extents,
        mut open: impl FnMut(BlobId) -> Result<B, Error>,
    ) -> Result<Self, Error> {
        let opened = extents.blobs().into_iter().map(|(blob, _)| Ok((blob, open(blob)?)));
        let blobs = opened.collect::<Result<_, Error>>()?;
        let mut end = 0;
        let extents = extents.iter().map(|extent| {
            end += extent.size();
            (end, *extent)
        });
        Ok(Self { extents: extents.collect(), blobs, at: 0 })
    }

    fn size(&self) -> u64 {
        self.extents.last().map_or(0, |(end, _)| *end)
    }
}

impl<B: ReadAt> Read for Reader<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let next = self.extents.partition_point(|(end, _)| *end <= self.at);
        let Some((end, extent)) = self.extents.get(next) else {
            return Ok(0);
        };
        let left = end - self.at;
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..length];
        let read = match *extent {
            Extent::Zeros(_) => {
                buffer.fill(0);
                length
            }
            Extent::Stored { blob, offset, size } => match self.blobs.get(&blob) {
                Some(blob) => blob.read_at(buffer, offset + size - left)?,
                None => 0, // can't happen: all were opened
            },
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl<B: ReadAt> Seek for Reader<B> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.size().checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Streams the bytes of `range` as specified by [`super::BlobStore::read`]. `open` streams bytes of one blob. The first
/// blob is opened before this returns, so that a missing one is noticed before anything is sent.
pub async fn stream<F, O>(
    extents: &Extents,
    range: Range<u64>,
    piece: usize,
    open: F,
) -> Result<Outgoing, Error>
where
    F: Fn(BlobId, Range<u64>) -> O + Send + 'static,
    O: Future<Output = Result<Outgoing, Error>> + Send + 'static,
{
    let length = range.end.saturating_sub(range.start);
    let slice = extents.slice(range);
    if slice.size() < length {
        return Err(Error::Short);
    }
    let mut extents = slice.into_iter();
    let first = match extents.next() {
        Some(Extent::Stored { blob, offset, size }) => open(blob, offset..offset + size).await?,
        Some(Extent::Zeros(size)) => zeros(size, piece),
        None => return Ok(stream::empty().boxed()),
    };
    if extents.len() == 0 {
        return Ok(first);
    }
    let rest = stream::iter(extents).then(move |extent| {
        let opening = match extent {
            Extent::Stored { blob, offset, size } => Ok(open(blob, offset..offset + size)),
            Extent::Zeros(size) => Err(zeros(size, piece)),
        };
        async move {
            match opening {
                Ok(opening) => opening.await,
                Err(zeros) => Ok(zeros),
            }
        }
    });
    Ok(first.chain(rest.try_flatten()).boxed())
}

fn zeros(size: u64, piece: usize) -> Outgoing {
    const ZEROS: &[u8] = &[0; 64 * 1024];
    let most = ZEROS.len().min(piece.max(1));
    let pieces = (0..size).step_by(most).map(move |at| {
        let length = usize::try_from(size - at).unwrap_or(usize::MAX).min(most);
        Ok(Bytes::from_static(&ZEROS[..length]))
    });
    stream::iter(pieces).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl ReadAt for Vec<u8> {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let from = usize::try_from(offset).unwrap().min(self.len());
            (&self[from..]).read(buffer)
        }
    }

    /// `bcd`, four zeros and `a`, stored in two blobs.
    fn extents() -> (Extents, [(BlobId, Vec<u8>); 2]) {
        let (a, b) = (BlobId::random(), BlobId::random());
        let extents = [
            Extent::Stored { blob: b, offset: 1, size: 3 },
            Extent::Zeros(4),
            Extent::Stored { blob: a, offset: 0, size: 1 },
        ];
        (Extents::from_iter(extents), [(a, b"a".to_vec()), (b, b"abcde".to_vec())])
    }

    const BYTES: &[u8] = b"bcd\0\0\0\0a";

    #[test]
    fn a_reader_reads_and_seeks_over_the_borders_of_extents() {
        let (extents, blobs) = extents();
        let blobs = HashMap::from(blobs);
        let open = |blob| blobs.get(&blob).cloned().ok_or(Error::NotFound);
        let mut reader = Reader::open(&extents, open).unwrap();
        for left in 0..=8 {
            let mut read = Vec::new();
            reader.seek(SeekFrom::End(-left)).unwrap();
            reader.read_to_end(&mut read).unwrap();
            assert_eq!(read, BYTES[BYTES.len() - usize::try_from(left).unwrap()..]);
        }
        assert!(reader.seek(SeekFrom::End(-9)).is_err());
        assert!(matches!(
            Reader::<Vec<u8>>::open(&extents, |_| Err(Error::NotFound)),
            Err(Error::NotFound)
        ));
    }

    #[tokio::test]
    async fn a_stream_has_the_bytes_of_every_range() {
        let (extents, blobs) = extents();
        let blobs = HashMap::from(blobs);
        for from in 0..=BYTES.len() as u64 {
            for to in from..=BYTES.len() as u64 {
                let blobs = blobs.clone();
                let open = move |blob, range: Range<u64>| {
                    let range =
                        usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                    let bytes = Bytes::copy_from_slice(&blobs[&blob][range]);
                    async move { Ok(stream::iter([Ok(bytes)]).boxed()) }
                };
                let pieces = stream(&extents, from..to, 3, open).await.unwrap();
                let pieces: Vec<Bytes> = pieces.try_collect().await.unwrap();
                assert!(pieces.iter().all(|piece| piece.len() <= 3));
                let expected = &BYTES[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()];
                assert_eq!(pieces.concat(), expected);
            }
        }
        let beyond = stream(&extents, 0..9, 3, |_, _| async { Err(Error::NotFound) }).await;
        assert!(matches!(beyond, Err(Error::Short)));
    }
}
