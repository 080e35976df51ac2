//! Uploads whose bytes come in order (docs/tus.md).

use super::super::Mistake;
use super::super::placing::{Codes, Part};
use super::super::request::{Answer, Create, Done, FileState, Key, Patch, Progress, User};
use super::asking::{done_contradictions, nothing};
use super::{Media, Outcomes, State, World, is_wrong};

/// An upload whose bytes come in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Append {
    /// All that may have come. It is unknown where the upload ends, but not before `least`, and nowhere if it has all
    /// its bytes.
    pub(super) bytes: Vec<u8>,
    pub(super) least: usize,
    pub(super) total: Option<usize>,
    pub(super) name: Option<String>,
    /// What the whole must have.
    pub(super) md5: Option<String>,
    pub(super) is_piece: bool,
    /// What it was joined from, and the bytes of each.
    pub(super) joined: Vec<(Key, Part)>,
    pub(super) thumbnail: Option<Key>,
    pub(super) touched_day: u64,
}

impl Append {
    pub(super) fn is_open(&self) -> bool {
        self.least < self.bytes.len()
    }

    pub(super) fn is_complete(&self) -> bool {
        !self.is_open() && self.total == Some(self.bytes.len())
    }

    /// The same, if it ends here.
    pub(super) fn ending(&self, end: usize) -> Option<Self> {
        let may_end = (self.least..=self.bytes.len()).contains(&end);
        may_end.then(|| Self { bytes: self.bytes[..end].to_vec(), least: end, ..self.clone() })
    }

    /// With these bytes at its end.
    fn with(&self, bytes: &[u8], total: Option<usize>, today: u64) -> Self {
        let bytes = [&self.bytes, bytes].concat();
        let is_touched = bytes.len() > self.bytes.len() || total == Some(bytes.len());
        let touched_day = if is_touched { today } else { self.touched_day };
        Self { least: bytes.len(), bytes, total, touched_day, ..self.clone() }
    }

    /// What a request contradicts that names the right place.
    fn contradictions(&self, patch: &Patch) -> Codes {
        let mut codes = Codes::new();
        if patch.total.is_some() && self.total.is_some() && patch.total != self.total {
            codes.push("changed");
        }
        let end = self.bytes.len() + patch.bytes.bytes.len();
        if self.total.or(patch.total).is_some_and(|total| end > total) {
            codes.push("beyond_total");
        }
        if patch.bytes.is_refutable() {
            codes.push("checksum_mismatch");
        }
        codes
    }

    /// With the size that a request declares, if that is new and more bytes must follow.
    fn sized(&self, patch: &Patch) -> Option<Self> {
        let total = patch.total.filter(|total| *total > self.bytes.len());
        (self.total.is_none() && total.is_some()).then(|| Self { total, ..self.clone() })
    }

    /// The File that it becomes.
    fn media(&self) -> Media {
        let whole = Part { start: 0, bytes: self.bytes.clone() };
        let parts: Vec<Part> = self.joined.iter().map(|(_, part)| part.clone()).collect();
        Media {
            parts: if parts.is_empty() { vec![whole] } else { parts },
            name: self.name.clone(),
            named: true,
            attached: false,
            thumbnail: self.thumbnail,
            pieces: self.joined.iter().map(|(piece, _)| *piece).collect(),
        }
    }
}

/// Sending.
impl World {
    pub(super) fn create(&self, user: User, create: &Create, made: Key) -> Outcomes {
        let first = create.bytes.as_ref().map_or(&[][..], |first| &first.bytes);
        let mut codes = Codes::new();
        if create.length.is_some_and(|length| first.len() > length) {
            codes.push("beyond_total");
        }
        if create.bytes.as_ref().is_some_and(|first| first.is_refutable()) {
            codes.push("checksum_mismatch");
        }
        let upload = Append {
            total: create.length,
            name: create.name.clone(),
            md5: create.md5.clone(),
            is_piece: create.is_piece,
            touched_day: self.day,
            ..Append::default()
        };
        let upload = upload.with(first, create.length, self.day);
        if codes.is_empty()
            && upload.is_complete()
            && !upload.is_piece
            && is_wrong(upload.md5.as_ref(), first)
        {
            codes.push("md5_mismatch");
        }
        if !codes.is_empty() {
            return self.refused(codes);
        }
        let offset = first.len();
        let world = self.with_new(user, made, State::Appending(upload));
        world.reached(made, |state| Answer::Created { key: made, offset, state })
    }

    pub(super) fn patch(&self, user: User, patch: &Patch) -> Outcomes {
        let key = patch.key;
        if self.is_erased(key) {
            return self.refused(vec!["gone"]);
        }
        match self.state(Some(user), key) {
            None => self.refused(vec!["not_found"]),
            Some(State::Receiving(_)) => self.refused(vec!["forbidden"]),
            Some(State::Appending(upload)) => self.append(patch, upload),
            Some(State::Finished(_) | State::Thumbnail(_)) => {
                let Some((key, State::Finished(media))) = self.stands_for(Some(user), key) else {
                    return self.refused(vec!["not_found"]);
                };
                self.same(append_to_file(patch, key, media))
            }
            Some(State::Expired) => self.told_expired(key, Codes::new()),
            Some(
                State::Removed | State::Replaced { .. } | State::Joined { .. } | State::Erased,
            ) => self.refused(vec!["gone"]),
        }
    }

    fn append(&self, patch: &Patch, upload: &Append) -> Outcomes {
        if !upload.joined.is_empty() {
            return self.refused(vec!["forbidden"]);
        }
        let end = upload.bytes.len();
        if end != patch.offset && self.mistake != Some(Mistake::AppendsAnywhere) {
            return self.same(Answer::Elsewhere(end));
        }
        let codes = upload.contradictions(patch);
        if !codes.is_empty() {
            let sized =
                upload.sized(patch).map(|sized| self.with(patch.key, State::Appending(sized)));
            let worlds = std::iter::once(self.clone()).chain(sized);
            return worlds.flat_map(|world| world.refused(codes.clone())).collect();
        }
        let total = upload.total.or(patch.total);
        let upload = upload.with(&patch.bytes.bytes, total, self.day);
        let offset = upload.bytes.len();
        let world = self.with(patch.key, State::Appending(upload));
        world.reached(patch.key, |state| Answer::Appended { offset, state })
    }

    /// The reply to bytes with which an upload has come this far. With the last one it is being finished.
    pub(super) fn reached(&self, key: Key, answer: impl Fn(FileState) -> Answer) -> Outcomes {
        match self.items.get(&key).map(|item| &item.state) {
            Some(State::Appending(upload)) if upload.is_complete() && !upload.is_piece => {
                let finished = self.once_finished(key);
                let is_file = matches!(finished.items[&key].state, State::Finished(_));
                let told = match is_file {
                    true => answer(FileState::Finished(key)),
                    false => Answer::refused("md5_mismatch"),
                };
                vec![
                    (told.clone(), finished),
                    (told, self.clone()), // others may have seen it before
                    (answer(FileState::Verifying), self.clone()),
                ]
            }
            _ => self.same(answer(FileState::Unfinished)),
        }
    }

    /// Once an upload that has all its bytes is a File, or removed because that isn't the one that was meant.
    pub(super) fn once_finished(&self, key: Key) -> World {
        match self.items.get(&key).map(|item| &item.state) {
            Some(State::Appending(upload)) if upload.is_complete() && !upload.is_piece => {
                if is_wrong(upload.md5.as_ref(), &upload.bytes) {
                    let mut world = self.clone();
                    world.remove(key, State::Removed);
                    return world;
                }
                self.with(key, State::Finished(upload.media()))
            }
            _ => self.clone(),
        }
    }

    /// Everything that has all its bytes is finished.
    pub(super) fn finish_all(&mut self) {
        let keys: Vec<Key> = self.items.keys().copied().collect();
        for key in keys {
            *self = self.once_finished(key);
        }
    }

    /// What bytes at the end of an upload may leave before they count: the size that they declare.
    pub(crate) fn only_sized(&self, user: User, patch: &Patch) -> Vec<World> {
        let Some(State::Appending(upload)) = self.state(Some(user), patch.key) else {
            return Vec::new();
        };
        let is_its_place = upload.joined.is_empty() && upload.bytes.len() == patch.offset;
        let sized = upload.sized(patch).filter(|_| is_its_place);
        sized.into_iter().map(|sized| self.with(patch.key, State::Appending(sized))).collect()
    }

    /// What may count of a request that was cut off, or ended by a newer one: any number of its first bytes, and the size
    /// that it declares.
    pub(crate) fn broken_off(&self, user: User, patch: &Patch) -> Vec<World> {
        let Some(State::Appending(upload)) = self.state(Some(user), patch.key) else {
            return Vec::new();
        };
        let is_its_place = upload.ending(patch.offset).is_some_and(|there| there == *upload);
        let contradicts =
            upload.total.is_some() && patch.total.is_some_and(|_| patch.total != upload.total);
        let total = upload.total.or(patch.total);
        let start = upload.bytes.len();
        if !is_its_place
            || contradicts
            || !upload.joined.is_empty()
            || total.is_some_and(|total| total < start)
        {
            return Vec::new();
        }
        let sized = upload.sized(patch);
        let bytes = &patch.bytes.bytes;
        let fit = total.map_or(bytes.len(), |total| bytes.len().min(total - start));
        let all = upload.with(&bytes[..fit], total, self.day);
        let mut counts: Vec<Append> = sized.into_iter().collect();
        match patch.bytes.checksum {
            Some(false) => {}
            Some(true) if fit < bytes.len() => {}
            Some(true) => counts.push(all),
            None => {
                let is_all = all.is_complete();
                let most = all.bytes.len() - usize::from(is_all && fit > 0);
                if most > start {
                    let bytes = all.bytes[..most].to_vec();
                    counts.push(Append { bytes, least: start + 1, ..all.clone() });
                }
                if is_all {
                    counts.push(all);
                }
            }
        }
        counts.into_iter().map(|upload| self.with(patch.key, State::Appending(upload))).collect()
    }
}

/// Asking and ending.
impl World {
    pub(super) fn head(&self, user: User, key: Key) -> Outcomes {
        let (of, state) = match self.stands_for(Some(user), key) {
            Some(found) => found,
            None => return self.refused(vec!["not_found"]),
        };
        let progress = match state {
            State::Receiving(upload) => Progress {
                offset: upload.layout.contiguous(),
                total: upload.layout.total,
                name: upload.name.clone(),
                is_piece: false,
                pieces: Vec::new(),
                state: FileState::Unfinished,
            },
            State::Appending(upload) => Progress {
                offset: upload.bytes.len(),
                total: upload.total,
                name: upload.name.clone(),
                is_piece: upload.is_piece,
                pieces: upload.joined.iter().map(|(piece, _)| *piece).collect(),
                state: match upload.is_complete() && !upload.is_piece {
                    true => FileState::Verifying,
                    false => FileState::Unfinished,
                },
            },
            State::Finished(media) => Progress {
                offset: media.bytes().len(),
                total: Some(media.bytes().len()),
                name: media.name.clone(),
                is_piece: false,
                pieces: media.pieces.clone(),
                state: FileState::Finished(of),
            },
            State::Expired => return self.told_expired(of, Codes::new()),
            other => return self.same(nothing(Some(other))),
        };
        self.same(Answer::Progress(progress))
    }

    pub(super) fn redirect(&self, user: User, key: Key) -> Answer {
        match self.file_of(user, key) {
            Answer::File(file) => Answer::Redirect(file.key),
            refused => refused,
        }
    }

    pub(super) fn end(&self, user: Option<User>, key: Key) -> Outcomes {
        let deleted = self.delete(user, key).into_iter();
        let ended = |(answer, world)| match answer {
            Answer::Removed(_) => (Answer::Ended, world),
            refused => (refused, world),
        };
        deleted.map(ended).collect()
    }

    pub(super) fn done_in_order(&self, done: &Done, upload: &Append) -> Outcomes {
        if upload.is_piece {
            return self.refused(vec!["partial_upload"]);
        }
        if !upload.is_complete() {
            return self.refused(vec!["bytes_missing"]);
        }
        let codes = done_contradictions(done, &upload.bytes);
        if !codes.is_empty() {
            return self.refused(codes);
        }
        if done.md5.is_none() && is_wrong(upload.md5.as_ref(), &upload.bytes) {
            return self.refused(vec!["md5_mismatch"]);
        }
        let mut media = upload.media();
        media.name = done.name.clone().or(media.name);
        self.finished(done.key, media)
    }
}

/// The reply to bytes for what is a File already.
fn append_to_file(patch: &Patch, key: Key, media: &Media) -> Answer {
    let size = media.bytes().len();
    if !media.pieces.is_empty() {
        Answer::refused("forbidden")
    } else if patch.offset != size {
        Answer::Elsewhere(size)
    } else if !patch.bytes.bytes.is_empty() {
        Answer::refused("beyond_total")
    } else {
        Answer::Appended { offset: size, state: FileState::Finished(key) }
    }
}
