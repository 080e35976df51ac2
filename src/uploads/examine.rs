//! Detects what received bytes are, and computes what must be changed in them.
//!
//! It only reads: changes are returned as patches. The checksum after the changes is computed from the current one.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use super::shared::Shared;
use crate::filename::Filename;
use crate::media::privacy::{self, Cleaning};
use crate::media::{self, Facts, Patch};
use crate::storage::{Error, Extents, Source, Written};

/// What a request says about a file, apart from its bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Label {
    pub(super) filename: Option<Filename>,
    pub(super) media_type: Option<String>,
    pub(super) duration_secs: Option<u64>,
}

/// The result of examining received bytes.
pub(super) struct Examined {
    pub(super) facts: Facts,
    /// The patches to apply, and their effect on the metadata.
    pub(super) cleaning: Cleaning,
    /// The checksum of the whole file after the patches.
    pub(super) crc32: u32,
}

/// Examines stored bytes. The sender's statements count where the bytes say nothing. Returns [`Error::NotFound`] or
/// [`Error::Short`] if bytes are missing.
pub(super) async fn examine(
    shared: &Shared,
    extents: &Extents,
    written: Written,
    label: Label,
) -> Result<Examined, Error> {
    let (blobs, extents) = (Arc::clone(&shared.blobs), extents.clone());
    let keep_metadata = shared.limits.keep_metadata;
    // Examining takes threads of the pool that commits and downloads also need.
    let _permit = shared.examining.acquire().await;
    let work = move || {
        let mut source = blobs.reader(&extents)?;
        let facts = facts(&mut source, written.size, &label)?;
        let mut cleaning = privacy::cleaning(&mut source, written.size, &facts.media_type)?;
        if keep_metadata {
            cleaning = cleaning.omitted();
        }
        let crc32 = patched_crc32(&mut source, written, &cleaning.patches)?;
        Ok(Examined { facts, cleaning, crc32 })
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(Error::other(panic)))
}

fn facts(source: &mut Box<dyn Source>, size: u64, label: &Label) -> io::Result<Facts> {
    let mut head =
        vec![0; usize::try_from(size).map_or(media::SNIFF_LEN, |size| size.min(media::SNIFF_LEN))];
    source.read_exact(&mut head)?;
    let sniffed = media::sniff(&head, label.filename.as_ref());
    let mut facts = media::probe(source, size, &sniffed);
    facts.media_type = facts.media_type.or_claimed(label.media_type.as_deref());
    let lasts = !facts.media_type.is_image();
    facts.duration_secs = facts.duration_secs.or(label.duration_secs.filter(|_| lasts));
    Ok(facts)
}

/// Returns the checksum of the whole file after the patches. CRC is linear: it changes by the CRC of the difference
/// within the patched ranges, shifted by the number of bytes after them, none of which need to be read.
fn patched_crc32(
    source: &mut (impl Read + Seek),
    whole: Written,
    patches: &[Patch],
) -> io::Result<u32> {
    let mut crc32 = whole.crc32;
    let mut buffer = Vec::new();
    for (at, bytes) in patches.iter().flat_map(Patch::pieces) {
        buffer.resize(bytes.len(), 0);
        source.seek(SeekFrom::Start(at))?;
        source.read_exact(&mut buffer)?;
        let difference = crc32fast::hash(&buffer) ^ crc32fast::hash(bytes);
        let behind = whole.size.saturating_sub(at + bytes.len() as u64);
        let mut moved = crc32fast::Hasher::new_with_initial(difference);
        moved.combine(&crc32fast::Hasher::new_with_initial_len(0, behind));
        crc32 ^= moved.finalize();
    }
    Ok(crc32)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_checksum_after_patching_is_known_before(
            mut bytes in prop::collection::vec(any::<u8>(), 1..200_000),
            places in prop::collection::vec((any::<prop::sample::Index>(), 0..70_000_u64, any::<[u8; 5]>()), 0..4),
        ) {
            let size = bytes.len() as u64;
            let mut end = 0;
            let mut patches = Vec::new();
            for (at, zeros, new) in places {
                let offset = end + at.index(bytes.len()) as u64;
                let patch = Patch { offset, bytes: new.to_vec(), zeros };
                if patch.end() <= size {
                    end = patch.end();
                    patches.push(patch);
                }
            }
            let whole = Written { size, crc32: crc32fast::hash(&bytes) };
            let expected = patched_crc32(&mut Cursor::new(&bytes), whole, &patches).unwrap();
            for (at, new) in patches.iter().flat_map(Patch::pieces) {
                let at = usize::try_from(at).unwrap();
                bytes[at..at + new.len()].copy_from_slice(new);
            }
            prop_assert_eq!(crc32fast::hash(&bytes), expected);
        }
    }
}
