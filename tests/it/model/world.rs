//! The executable model: what the server has on record, and what it may answer.
//!
//! Written from `docs/protocol.md` alone, one request at a time, each as if nobody else sent any.
//! [`World::outcomes`] lists every answer that the protocol allows with the world that it leaves behind.

use std::collections::BTreeMap;

use super::Mistake;
use super::placing::{Codes, Layout, Part, own_contradictions};
use super::request::{
    Answer, Chunk, Done, Entry, File, Key, Removed, Request, Single, Thumbnail, User,
};
use crate::properties::md5_of;

/// Days that an unfinished upload lives after its last stored chunk.
pub(crate) const TTL_DAYS: u64 = 8;

/// Everything on record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct World {
    day: u64,
    items: BTreeMap<Key, Item>,
    /// Orders the list.
    begun: u64,
    /// A rule that is wrong on purpose.
    mistake: Option<Mistake>,
}

/// What one uuid stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    owner: User,
    begun: u64,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Receiving(Upload),
    Finished(Media),
    Thumbnail { parent: Key },
    Replaced { parent: Key },
    Removed,
    Expired,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Upload {
    layout: Layout,
    name: Option<String>,
    thumbnail: Option<Key>,
    touched_day: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Media {
    parts: Vec<Part>,
    name: Option<String>,
    /// Whether a done's name would come too late.
    named: bool,
    attached: bool,
    thumbnail: Option<Key>,
}

impl Media {
    fn bytes(&self) -> Vec<u8> {
        self.parts.iter().flat_map(|part| part.bytes.clone()).collect()
    }
}

/// Answers that the protocol allows, each with what it leaves behind.
pub(crate) type Outcomes = Vec<(Answer, World)>;

impl World {
    /// Nothing on record; maybe with a rule that is wrong on purpose.
    pub(crate) fn new(mistake: Option<Mistake>) -> Self {
        Self { mistake, ..Self::default() }
    }

    /// What may come of a request. `made`: the uuid that the server makes for it, if it makes one.
    pub(crate) fn outcomes(&self, request: &Request, made: Key) -> Outcomes {
        match request {
            Request::Chunk(user, chunk) => self.chunk(*user, chunk, made),
            Request::Single(user, single) => self.single(*user, single, made),
            Request::Thumbnail(user, thumbnail) => self.thumbnail(*user, thumbnail, made),
            Request::Done(user, done) => self.done(*user, done),
            Request::Status(user, key) => self.same(self.status(*user, *key)),
            Request::File(user, key) => self.same(self.file_of(*user, *key)),
            Request::List(user) => self.same(self.list(*user)),
            Request::Delete(user, key) => self.delete(*user, *key),
            Request::Files { key, attach, of } => self.files(*key, *attach, *of),
            Request::Link(key, range) => self.same(self.link(*key, *range)),
        }
    }

    /// What may be left of a request whose answer nobody saw. `whole`: all of it was sent.
    pub(crate) fn unheard(&self, request: &Request, whole: bool) -> Vec<World> {
        let outcomes = self.outcomes(request, Key::MAX).into_iter();
        // Of a request that broke off no byte counts, but it may have been refused.
        let possible =
            outcomes.filter(|(answer, _)| whole || matches!(answer, Answer::Refused { .. }));
        let mut worlds = vec![self.clone()];
        worlds.extend(possible.map(|(_, world)| world));
        if let Request::Chunk(user, chunk) = request {
            worlds.extend(self.only_begun(*user, chunk));
        }
        worlds
    }

    /// Days go by, and the server looks what has expired.
    pub(crate) fn skip(&mut self, days: u64) {
        self.day += days;
        let idle: Vec<Key> = self
            .items
            .iter()
            .filter(|(_, item)| match &item.state {
                State::Receiving(upload) => upload.touched_day + TTL_DAYS <= self.day,
                _ => false,
            })
            .map(|(key, _)| *key)
            .collect();
        for key in idle {
            self.remove(key, State::Expired);
        }
    }

    fn same(&self, answer: Answer) -> Outcomes {
        vec![(answer, self.clone())]
    }

    /// Any of these refusals, each of which changes nothing.
    fn refused(&self, codes: Codes) -> Outcomes {
        codes.into_iter().map(|code| (Answer::refused(code), self.clone())).collect()
    }

    /// The refusal that an expired upload gives once, or others that came before it.
    fn told_expired(&self, key: Key, codes: Codes) -> Outcomes {
        let mut outcomes = self.refused(codes);
        let mut free = self.clone();
        free.items.remove(&key);
        outcomes.push((Answer::refused("expired"), free));
        outcomes
    }

    fn with(&self, key: Key, state: State) -> Self {
        let mut world = self.clone();
        if let Some(item) = world.items.get_mut(&key) {
            item.state = state;
        }
        world
    }

    fn with_new(&self, owner: User, key: Key, state: State) -> Self {
        let mut world = self.clone();
        world.begun += 1;
        world.items.insert(key, Item { owner, begun: world.begun, state });
        world
    }

    /// Whatever this user may know of the uuid; someone else's counts as unknown.
    fn state(&self, user: Option<User>, key: Key) -> Option<&State> {
        let item = self.items.get(&key)?;
        user.is_none_or(|user| user == item.owner).then_some(&item.state)
    }

    /// Whether this uuid is someone else's, which chunks and single files can't take.
    fn is_taken(&self, user: User, key: Key) -> bool {
        self.items.get(&key).is_some_and(|item| item.owner != user)
    }

    /// The upload or File that a uuid stands for.
    fn stands_for(&self, user: Option<User>, key: Key) -> Option<(Key, &State)> {
        match self.state(user, key)? {
            State::Thumbnail { parent } | State::Replaced { parent } => {
                Some((*parent, self.state(user, *parent)?))
            }
            state => Some((key, state)),
        }
    }

    /// Forgets an upload or File with its thumbnails, or a thumbnail alone.
    fn remove(&mut self, key: Key, tombstone: State) {
        for item in self.items.values_mut() {
            match &mut item.state {
                State::Thumbnail { parent } | State::Replaced { parent } if *parent == key => {
                    item.state = State::Removed;
                }
                State::Receiving(Upload { thumbnail, .. })
                | State::Finished(Media { thumbnail, .. })
                    if *thumbnail == Some(key) =>
                {
                    *thumbnail = None;
                }
                _ => {}
            }
        }
        if let Some(item) = self.items.get_mut(&key) {
            item.state = tombstone;
        }
    }
}

/// Section 4.
impl World {
    fn chunk(&self, user: User, chunk: &Chunk, made: Key) -> Outcomes {
        let Some(key) = chunk.key else {
            if chunk.index > 0 {
                return self.refused([own_contradictions(chunk), vec!["required"]].concat());
            }
            return self.first_chunk(user, chunk, made);
        };
        if self.is_taken(user, key) {
            return self.refused([own_contradictions(chunk), vec!["not_found"]].concat());
        }
        match self.state(Some(user), key) {
            None => self.first_chunk(user, chunk, key),
            Some(State::Receiving(upload)) => self.next_chunk(user, chunk, key, upload),
            Some(State::Finished(media)) => {
                let part = media.parts.get(chunk.index);
                if part.is_some_and(|part| is_same(chunk, part)) {
                    let mut outcomes = self.refused(own_contradictions(chunk));
                    outcomes.push((Answer::Chunk(key), self.clone()));
                    return outcomes;
                }
                self.refused([own_contradictions(chunk), vec!["upload_finished"]].concat())
            }
            Some(State::Thumbnail { .. }) => {
                self.refused([own_contradictions(chunk), vec!["upload_finished"]].concat())
            }
            Some(State::Removed) if self.mistake == Some(Mistake::ForgetsTombstones) => {
                self.first_chunk(user, chunk, key)
            }
            Some(State::Removed | State::Replaced { .. }) => {
                self.refused([own_contradictions(chunk), vec!["gone"]].concat())
            }
            Some(State::Expired) => self.told_expired(key, own_contradictions(chunk)),
        }
    }

    /// A chunk of an upload that isn't on record yet. One that is refused may have begun it.
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

    /// What a chunk may leave that doesn't count itself: an upload that is begun, or named.
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
            // Nothing is written; but it may bring a name where there was none.
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

    fn single(&self, user: User, single: &Single, made: Key) -> Outcomes {
        let mut codes = single_contradictions(single);
        let Some(key) = single.key else {
            return self.new_single(user, single, made, codes);
        };
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
            Some(State::Finished(_) | State::Receiving(_) | State::Thumbnail { .. }) => {
                codes.push("file_conflict");
                self.refused(codes)
            }
            Some(State::Removed | State::Replaced { .. }) => {
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
        };
        let answer = Answer::File(file(key, &media));
        vec![(answer, self.with_new(user, key, State::Finished(media)))]
    }

    fn thumbnail(&self, user: User, sent: &Thumbnail, made: Key) -> Outcomes {
        let mut codes = Codes::new();
        if !sent.is_image {
            codes.push("not_an_image");
        }
        if is_wrong(sent.md5.as_ref(), &sent.bytes) {
            codes.push("md5_mismatch");
        }
        let stands_for = self.stands_for(Some(user), sent.parent);
        let Some((parent, State::Receiving(_) | State::Finished(_))) = stands_for else {
            codes.push("not_found");
            return self.refused(codes);
        };
        if !codes.is_empty() {
            return self.refused(codes);
        }
        let mut world = self.with_new(user, made, State::Thumbnail { parent });
        let of_parent = world.items.get_mut(&parent).map(|item| &mut item.state);
        if let Some(
            State::Receiving(Upload { thumbnail, .. }) | State::Finished(Media { thumbnail, .. }),
        ) = of_parent
            && let Some(before) = thumbnail.replace(made)
        {
            world = world.with(before, State::Replaced { parent });
        }
        vec![(Answer::Thumbnail { key: made, parent }, world)]
    }
}

/// Section 5.
impl World {
    fn done(&self, user: User, done: &Done) -> Outcomes {
        match self.state(Some(user), done.key) {
            None => self.refused(vec!["not_found"]),
            Some(State::Receiving(upload)) => self.finish(done, upload),
            Some(State::Finished(media)) => {
                let codes = done_contradictions(done, &media.bytes());
                if !codes.is_empty() {
                    return self.refused(codes);
                }
                let mut media = media.clone();
                if let (false, Some(name)) = (media.named, &done.name) {
                    media.name = Some(name.clone());
                    media.named = self.mistake != Some(Mistake::RenamesFiles);
                }
                self.finished(done.key, media)
            }
            Some(State::Thumbnail { .. } | State::Replaced { .. }) => {
                let mut outcomes = self.same(self.file_of(user, done.key));
                if done.total.is_some() || done.md5.is_some() {
                    // They may be meant of the thumbnail or of its parent.
                    outcomes.extend(self.refused(vec!["size_mismatch", "md5_mismatch"]));
                }
                outcomes
            }
            Some(State::Removed) => self.refused(vec!["gone"]),
            Some(State::Expired) => self.told_expired(done.key, Codes::new()),
        }
    }

    fn finish(&self, done: &Done, upload: &Upload) -> Outcomes {
        let layout = &upload.layout;
        let missing = layout.missing();
        if !missing.is_empty() {
            return self.same(Answer::Refused { code: "chunks_missing", missing });
        }
        let media = Media {
            parts: layout.parts.values().cloned().collect(),
            name: done.name.clone().or_else(|| upload.name.clone()),
            named: self.mistake != Some(Mistake::RenamesFiles),
            attached: false,
            thumbnail: upload.thumbnail,
        };
        let bytes = media.bytes();
        let mut codes = done_contradictions(done, &bytes);
        if !layout.is_contiguous() {
            codes.push("parts_not_contiguous");
        }
        if layout.total.is_some_and(|total| total != bytes.len()) {
            codes.push("size_mismatch");
        }
        if codes.is_empty() { self.finished(done.key, media) } else { self.refused(codes) }
    }

    fn finished(&self, key: Key, media: Media) -> Outcomes {
        let answer = Answer::File(file(key, &media));
        vec![(answer, self.with(key, State::Finished(media)))]
    }
}

/// What can be asked, and removing.
impl World {
    fn status(&self, user: User, key: Key) -> Answer {
        match self.stands_for(Some(user), key) {
            Some((_, State::Receiving(upload))) => Answer::Unfinished {
                parts: upload.layout.count,
                total: upload.layout.total,
                received: upload.layout.received(),
                present: upload.layout.present(),
            },
            Some((_, State::Finished(media))) => Answer::Finished { size: media.bytes().len() },
            other => nothing(other.map(|(_, state)| state)),
        }
    }

    fn file_of(&self, user: User, key: Key) -> Answer {
        match self.stands_for(Some(user), key) {
            Some((key, State::Finished(media))) => Answer::File(file(key, media)),
            other => nothing(other.map(|(_, state)| state)),
        }
    }

    fn list(&self, user: User) -> Answer {
        let mut own: Vec<_> = self.items.iter().filter(|(_, item)| item.owner == user).collect();
        own.sort_by_key(|(_, item)| std::cmp::Reverse(item.begun));
        let entry = |(key, item): (&Key, &Item)| match &item.state {
            State::Receiving(Upload { layout, name, .. }) => {
                let has_begun = !layout.parts.is_empty();
                has_begun.then(|| Entry::Unfinished {
                    key: *key,
                    name: name.clone(),
                    parts: layout.count,
                    total: layout.total,
                    received: layout.received(),
                })
            }
            State::Finished(media) => Some(Entry::Finished(file(*key, media))),
            _ => None,
        };
        Answer::List(own.into_iter().filter_map(entry).collect())
    }

    fn delete(&self, user: Option<User>, key: Key) -> Outcomes {
        let thumbnails = |of: &Option<Key>| u64::from(of.is_some());
        let removed = match self.state(user, key) {
            Some(State::Receiving(upload)) => Removed {
                unfinished: 1,
                thumbnails: thumbnails(&upload.thumbnail),
                bytes: upload.layout.received(),
                ..Removed::default()
            },
            Some(State::Finished(media)) if media.attached && user.is_some() => {
                return self.refused(vec!["attached"]);
            }
            Some(State::Finished(media)) => Removed {
                files: 1,
                thumbnails: thumbnails(&media.thumbnail),
                bytes: media.bytes().len(),
                ..Removed::default()
            },
            Some(State::Thumbnail { .. }) => Removed { thumbnails: 1, ..Removed::default() },
            other => return self.same(nothing(other)),
        };
        let mut world = self.clone();
        world.remove(key, State::Removed);
        vec![(Answer::Removed(removed), world)]
    }

    fn files(&self, key: Key, attach: bool, of: Option<User>) -> Outcomes {
        match self.stands_for(of, key) {
            Some((key, State::Finished(media))) => {
                let answer = Answer::Files(Some(file(key, media)));
                let attached = media.attached || attach;
                let media = Media { attached, ..media.clone() };
                vec![(answer, self.with(key, State::Finished(media)))]
            }
            _ => self.same(Answer::Files(None)),
        }
    }

    /// A link shows a uuid's own bytes.
    fn link(&self, key: Key, range: Option<(usize, usize)>) -> Answer {
        let media = match self.state(None, key) {
            Some(State::Finished(media)) => media,
            Some(State::Thumbnail { .. }) => return Answer::Picture,
            _ => return Answer::refused("gone"),
        };
        let bytes = media.bytes();
        match range {
            None => Answer::Bytes { status: 200, bytes },
            Some((first, _)) if first >= bytes.len() => Answer::refused("range_not_satisfiable"),
            Some((first, last)) => {
                let end = (last + 1).min(bytes.len());
                Answer::Bytes { status: 206, bytes: bytes[first..end].to_vec() }
            }
        }
    }
}

fn file(key: Key, media: &Media) -> File {
    File {
        key,
        name: media.name.clone(),
        size: media.bytes().len(),
        thumbnail: media.thumbnail.is_some(),
    }
}

/// Why there is nothing to be had.
fn nothing(state: Option<&State>) -> Answer {
    Answer::refused(match state {
        Some(State::Removed | State::Replaced { .. }) => "gone",
        Some(State::Expired) => "expired",
        _ => "not_found",
    })
}

/// The first name that a chunk gives.
fn name_of(upload: &Upload, chunk: &Chunk) -> Option<String> {
    upload.name.clone().or_else(|| chunk.name.clone())
}

/// Whether a chunk is the one on record.
fn is_same(chunk: &Chunk, part: &Part) -> bool {
    let declared = chunk.range.map(|range| range.first).or(chunk.offset);
    chunk.bytes == part.bytes && declared.is_none_or(|start| start == part.start)
}

fn is_wrong(md5: Option<&String>, bytes: &[u8]) -> bool {
    md5.is_some_and(|md5| *md5 != md5_of(bytes))
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

fn done_contradictions(done: &Done, bytes: &[u8]) -> Codes {
    let mut codes = Codes::new();
    if done.total.is_some_and(|total| total != bytes.len()) {
        codes.push("size_mismatch");
    }
    if is_wrong(done.md5.as_ref(), bytes) {
        codes.push("md5_mismatch");
    }
    codes
}
