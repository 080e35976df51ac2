//! The facts that a reader found, and limits on what is plausible.

use std::time::Duration;

use crate::media::MediaType;

/// Longest plausible duration: ten years. Anything longer is an error or a lie.
pub(super) const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

/// What a reader has found so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// A type that differs from the sniffed one.
    pub(super) media_type: Option<MediaType>,
    pub(super) duration: Option<Duration>,
    pub(super) size: Option<(u32, u32)>,
}

/// The type of a container with these tracks: `audio/*` or `video/*`. `None` if the type stays the same.
pub(super) fn with_tracks(
    sniffed: &MediaType,
    has_sound: bool,
    has_film: bool,
) -> Option<MediaType> {
    let (_, container) = sniffed.essence().split_once('/')?;
    let kind = match (has_sound, has_film) {
        (false, false) => return None,
        (true, false) => "audio",
        (_, true) => "video",
    };
    (container != "quicktime").then(|| MediaType::parse(&format!("{kind}/{container}")))?
}

/// Returns the duration of `units`, or `None` if it isn't plausible.
pub(super) fn length(units: u64, per_second: u64) -> Option<Duration> {
    let nanos = (u128::from(units) * 1_000_000_000).checked_div(per_second.into())?;
    u64::try_from(nanos).ok().map(Duration::from_nanos).filter(|length| *length <= LONGEST)
}
