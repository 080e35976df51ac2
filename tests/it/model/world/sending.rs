//! Chunks, single files and thumbnails: sections 3, 4 and 6 of the protocol.

use super::super::Mistake;
use super::super::placing::{Codes, Layout, Part, declared, own_contradictions};
use super::super::request::{Answer, Chunk, Key, Single, Thumbnail, User};
use super::{Item, Media, Outcomes, Sent, State, Upload, World, file, is_wrong};

impl World {
    pub(super) fn chunk(&self, user: User, chunk: &Chunk, made: Key) -> Outcomes {
        let Some(key) = chunk.key else {
            if chunk.index > 0 {
                return self.refused([own_contradictions(chunk), vec!["required"]].concat());
            }
            return self.first_chunk(user, chunk, made);
        };
        if self.is_erased(key) {
            return self.refused([own_contradictions(chunk), vec!["gone"]].concat());
        }
        if self.is_taken(user, key) {
            return self.refused([own_contradictions(chunk), vec!["not_found"]].concat());
        }
        match self.state(Some(user), key) {
            None => self.first_chunk(user, chunk, key),
            Some(State::Receiving(upload)) => self.next_chunk(user, chunk, key, upload),
            Some(State::Appending(_)) => {
                self.refused([own_contradictions(chunk), vec!["sent_in_order"]].concat())
            }
            Some(State::Finished(media)) => {
                let part = media.parts.get(chunk.index);
                if part.is_some_and(|part| is_same(chunk, part)) {
                    let mut outcomes = self.refused(own_contradictions(chunk));
                    outcomes.push((Answer::Chunk(key), self.clone()));
                    return outcomes;
                }
                self.refused([own_contradictions(chunk), vec!["upload_finished"]].concat())
            }
            Some(State::Thumbnail(_)) => {
                self.refused([own_contradictions(chunk), vec!["upload_finished"]].concat())
            }
            Some(State::Removed) if self.mistake == Some(Mistake::ForgetsTombstones) => {
                self.first_chunk(user, chunk, key)
            }
            Some(
                State::Removed | State::Replaced { .. } | State::Joined { .. } | State::Erased,
            ) => self.refused([own_contradictions(chunk), vec!["gone"]].concat()),
            Some(State::Expired) => self.told_expired(key, own_contradictions(chunk)),
        }
    }

    /// A chunk of an upload that isn't on record yet. A refused one may have begun it.
    fn first_chunk(&self, user: User, chunk: &Chunk, key: Key) -> Outcomes {
        let Some(count) = chunk.parts else {
            return self.refused([own_contradictions(chunk), vec!["required"]].concat());
        };
        match Layout::new(count).with(chunk) {
            Ok(layout) => {
                let world = self.with_new(user, key, self.begun_with(chunk, layout));
                vec![(Answer::Chunk(key), world)]
            }
            Err(codes) => {
                let mut outcomes = self.refused(codes.clone());
                let begun = self.only_begun(user, chunk).into_iter();
                outcomes.extend(begun.flat_map(|begun| begun.refused(codes.clone())));
                outcomes
            }
        }
    }

    fn begun_with(&self, chunk: &Chunk, layout: Layout) -> State {
        let name = chunk.name.clone();
        State::Receiving(Upload { layout, name, thumbnail: None, touched_day: self.day })
    }

    /// What a chunk may leave that doesn't count itself: an upload that has begun, or has got a name.
    pub(crate) fn only_begun(&self, user: User, chunk: &Chunk) -> Vec<World> {
        let Some(key) = chunk.key else {
            return Vec::new();
        };
        let states = match (self.items.get(&key), chunk.parts) {
            (None, Some(count)) if chunk.index < count => {
                let nameless = Chunk { name: None, ..chunk.clone() };
                [chunk, &nameless].map(|chunk| self.begun_with(chunk, Layout::new(count))).to_vec()
            }
            (Some(Item { owner, state: State::Receiving(upload), .. }), _) if *owner == user => {
                vec![State::Receiving(Upload { name: name_of(upload, chunk), ..upload.clone() })]
            }
            _ => Vec::new(),
        };
        let world = |state| match self.items.contains_key(&key) {
            true => self.with(key, state),
            false => self.with_new(user, key, state),
        };
        states.into_iter().map(world).collect()
    }

    fn next_chunk(&self, user: User, chunk: &Chunk, key: Key, upload: &Upload) -> Outcomes {
        if let Some(part) = upload.layout.parts.get(&chunk.index) {
            let mut codes = upload.layout.contradictions(chunk);
            // Nothing is written, but it may supply a missing name.
            let either = [vec![self.clone()], self.only_begun(user, chunk)].concat().into_iter();
            if !is_same(chunk, part) && self.mistake != Some(Mistake::TakesOtherBytes) {
                codes.push("chunk_conflict");
            }
            if codes.is_empty() {
                return either.map(|world| (Answer::Chunk(key), world)).collect();
            }
            return either.flat_map(|world| world.refused(codes.clone())).collect();
        }
        match upload.layout.with(chunk) {
            Ok(layout) => {
                let name = name_of(upload, chunk);
                let upload = Upload { layout, name, touched_day: self.day, ..upload.clone() };
                vec![(Answer::Chunk(key), self.with(key, State::Receiving(upload)))]
            }
            Err(codes) => {
                let mut outcomes = self.refused(codes.clone());
                let named = self.only_begun(user, chunk).into_iter();
                outcomes.extend(named.flat_map(|named| named.refused(codes.clone())));
                outcomes
            }
        }
    }

    pub(super) fn single(&self, user: User, single: &Single, made: Key) -> Outcomes {
        let mut codes = single_contradictions(single);
        let Some(key) = single.key else {
            return self.new_single(user, single, made, codes);
        };
        if self.is_erased(key) {
            codes.push("gone");
            return self.refused(codes);
        }
        if self.is_taken(user, key) {
            codes.push("not_found");
            return self.refused(codes);
        }
        match self.state(Some(user), key) {
            None => self.new_single(user, single, key, codes),
            Some(State::Finished(media)) if media.bytes() == single.bytes => {
                if codes.is_empty() {
                    return self.same(Answer::File(file(key, media)));
                }
                self.refused(codes)
            }
            Some(
                State::Finished(_)
                | State::Receiving(_)
                | State::Appending(_)
                | State::Thumbnail(_),
            ) => {
                codes.push("file_conflict");
                self.refused(codes)
            }
            Some(
                State::Removed | State::Replaced { .. } | State::Joined { .. } | State::Erased,
            ) => {
                codes.push("gone");
                self.refused(codes)
            }
            Some(State::Expired) => self.told_expired(key, codes),
        }
    }

    fn new_single(&self, user: User, single: &Single, key: Key, codes: Codes) -> Outcomes {
        if !codes.is_empty() {
            return self.refused(codes);
        }
        let media = Media {
            parts: vec![Part { start: 0, bytes: single.bytes.clone() }],
            name: single.name.clone(),
            named: false,
            attached: false,
            thumbnail: None,
            pieces: Vec::new(),
        };
        let answer = Answer::File(file(key, &media));
        vec![(answer, self.with_new(user, key, State::Finished(media)))]
    }

    pub(super) fn thumbnail(&self, user: User, sent: &Thumbnail, made: Key) -> Outcomes {
        let mut codes = Codes::new();
        if !sent.is_image {
            codes.push("not_an_image");
        }
        if is_wrong(sent.md5.as_ref(), &sent.bytes) {
            codes.push("md5_mismatch");
        }
        let stands_for = self.stands_for(Some(user), sent.parent);
        let parent = match stands_for {
            Some((parent, State::Receiving(_) | State::Finished(_))) => parent,
            Some((parent, State::Appending(upload))) if !upload.is_piece => parent,
            _ => {
                codes.push("not_found");
                return self.refused(codes);
            }
        };
        let mut world = self.clone();
        let (shown, attached) =
            world.shown(parent).map_or((None, false), |(shown, attached)| (*shown, attached));
        if attached {
            codes.push("attached");
        }
        if !codes.is_empty() {
            return self.refused(codes);
        }
        // Those that no message can show are removed at once; the one that is shown, when there is another picture.
        for (hidden, _) in self.thumbnails(parent).filter(|(key, _)| Some(*key) != shown) {
            world = world.with(hidden, State::Replaced { parent });
        }
        let kept = if sent.decodes { 0 } else { sent.bytes.len() };
        let sent = Sent { parent, kept, waits: true };
        let waiting = world.with_new(user, made, State::Thumbnail(sent));
        let mut settled = waiting.clone();
        settled.settle();
        [settled, waiting].map(|world| (Answer::Thumbnail { key: made, parent }, world)).to_vec()
    }
}

/// The first name in a chunk.
fn name_of(upload: &Upload, chunk: &Chunk) -> Option<String> {
    upload.name.clone().or_else(|| chunk.name.clone())
}

/// Whether a chunk equals the recorded one.
fn is_same(chunk: &Chunk, part: &Part) -> bool {
    chunk.bytes == part.bytes && declared(chunk).is_none_or(|start| start == part.start)
}

fn single_contradictions(single: &Single) -> Codes {
    let (size, range) = (single.bytes.len(), single.range);
    let said = [single.size, single.total, range.map(|range| range.size())];
    let said = said.into_iter().chain([range.and_then(|range| range.total)]);
    let mut codes = Codes::new();
    if said.flatten().any(|said| said != size) {
        codes.push("size_mismatch");
    }
    if range.is_some_and(|range| range.first > 0) {
        codes.push("parts_not_contiguous");
    }
    if let (Some(total), Some(in_range)) = (single.total, range.and_then(|range| range.total))
        && total != in_range
    {
        codes.push("changed");
    }
    if is_wrong(single.md5.as_ref(), &single.bytes) {
        codes.push("md5_mismatch");
    }
    codes
}
