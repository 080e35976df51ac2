//! The executable model: what the server has on record, and how it may reply.
//!
//! Written from `docs/protocol.md` and `docs/tus.md` alone, one request at a time, each as if there were no others. [`World::outcomes`]
//! lists every reply that the protocol allows, with the world that it leaves behind.

mod append;
mod asking;
mod ends;
mod join;
mod sending;

use std::collections::BTreeMap;

use super::Mistake;
use super::placing::{Codes, Layout, Part};
use super::request::{Answer, File, Key, Request, User};
use crate::properties::md5_of;
use append::Append;

/// Number of days for which an unfinished upload lives after its last stored chunk.
pub(crate) const TTL_DAYS: u64 = 8;

/// Everything on record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct World {
    day: u64,
    items: BTreeMap<Key, Item>,
    /// Determines the order of the list.
    begun: u64,
    /// A rule that is wrong on purpose.
    mistake: Option<Mistake>,
}

/// What a uuid stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    owner: User,
    begun: u64,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Receiving(Upload),
    /// Its bytes come in order.
    Appending(Append),
    /// A piece that was joined.
    Joined {
        whole: Key,
    },
    Finished(Media),
    Thumbnail(Sent),
    Replaced {
        parent: Key,
    },
    Removed,
    Expired,
    /// Its owner was erased, so it belongs to nobody.
    Erased,
}

/// A thumbnail that a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    parent: Key,
    /// Number of bytes kept as they were sent, because no picture can be made of them; otherwise 0.
    kept: usize,
    /// No attempt has been made yet to make a picture of it.
    waits: bool,
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
    /// Whether a name in a done would come too late.
    named: bool,
    attached: bool,
    thumbnail: Option<Key>,
    /// What it was joined from.
    pieces: Vec<Key>,
}

impl Media {
    fn bytes(&self) -> Vec<u8> {
        self.parts.iter().flat_map(|part| part.bytes.clone()).collect()
    }
}

/// Replies that the protocol allows, each with the world that it leaves behind.
pub(crate) type Outcomes = Vec<(Answer, World)>;

impl World {
    /// Starts with nothing on record, possibly with a rule that is wrong on purpose.
    pub(crate) fn new(mistake: Option<Mistake>) -> Self {
        Self { mistake, ..Self::default() }
    }

    /// The possible outcomes of a request. `made` is the uuid that the server makes, if it makes one.
    pub(crate) fn outcomes(&self, request: &Request, made: Key) -> Outcomes {
        self.withdrawn().iter().flat_map(|world| world.answers(request, made)).collect()
    }

    /// This world, and those in which uploads are gone that were begun but have no chunk: the server may withdraw them.
    fn withdrawn(&self) -> Vec<Self> {
        let is_unused = |(_, item): &(&Key, &Item)| matches!(&item.state, State::Receiving(upload) if upload.layout.parts.is_empty());
        let unused: Vec<Key> = self.items.iter().filter(is_unused).map(|(key, _)| *key).collect();
        let mut worlds = vec![self.clone()];
        for key in unused.into_iter().filter(|key| self.thumbnails(*key).next().is_none()) {
            let mut without = worlds.clone();
            without.iter_mut().for_each(|world| drop(world.items.remove(&key)));
            worlds.extend(without);
        }
        worlds
    }

    fn answers(&self, request: &Request, made: Key) -> Outcomes {
        if self.would_tell_an_end(request) {
            return Outcomes::new(); // of the world in which that is where it ends
        }
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
            Request::Create(user, create) => self.create(*user, create, made),
            Request::Join(user, join) => self.join(*user, join, made),
            Request::Patch(user, patch) => self.patch(*user, patch),
            Request::Head(user, key) => self.head(*user, *key),
            Request::Redirect(user, key) => self.same(self.redirect(*user, *key)),
            Request::End(user, key) => self.end(*user, *key),
        }
    }

    /// The possible outcomes of a request whose reply nobody saw. `whole` means that all of it was sent.
    pub(crate) fn unheard(&self, request: &Request, made: Key, whole: bool) -> Vec<World> {
        let outcomes = self.outcomes(request, made).into_iter();
        // No byte of an interrupted request counts, but it may have been refused.
        let possible =
            outcomes.filter(|(answer, _)| whole || matches!(answer, Answer::Refused { .. }));
        let mut worlds = vec![self.clone()];
        worlds.extend(possible.map(|(_, world)| world));
        match request {
            Request::Chunk(user, chunk) => worlds.extend(self.only_begun(*user, chunk)),
            Request::Patch(user, patch) => worlds.extend(self.broken_off(*user, patch)),
            _ => {}
        }
        worlds
    }

    /// Skips days, and removes what has expired.
    pub(crate) fn skip(&mut self, days: u64) {
        self.finish_all();
        self.day += days;
        let idle: Vec<Key> = self
            .items
            .iter()
            .filter(|(_, item)| match &item.state {
                State::Receiving(Upload { touched_day, .. })
                | State::Appending(Append { touched_day, .. }) => {
                    touched_day + TTL_DAYS <= self.day
                }
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

    /// Any of these refusals, none of which changes anything.
    fn refused(&self, codes: Codes) -> Outcomes {
        codes.into_iter().map(|code| (Answer::refused(code), self.clone())).collect()
    }

    /// The refusal that an expired upload gives once, or others that take precedence.
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

    /// What this user may know about the uuid; somebody else's counts as unknown.
    fn state(&self, user: Option<User>, key: Key) -> Option<&State> {
        let item = self.items.get(&key).filter(|item| item.state != State::Erased)?;
        user.is_none_or(|user| user == item.owner).then_some(&item.state)
    }

    /// Whether this uuid belongs to nobody any more and can't be used.
    fn is_erased(&self, key: Key) -> bool {
        self.items.get(&key).is_some_and(|item| item.state == State::Erased)
    }

    /// Whether this uuid belongs to somebody else, so that chunks and single files can't use it.
    fn is_taken(&self, user: User, key: Key) -> bool {
        self.items.get(&key).is_some_and(|item| item.owner != user)
    }

    /// The upload or File that a uuid stands for.
    fn stands_for(&self, user: Option<User>, key: Key) -> Option<(Key, &State)> {
        match self.state(user, key)? {
            State::Thumbnail(Sent { parent, .. })
            | State::Replaced { parent }
            | State::Joined { whole: parent } => Some((*parent, self.state(user, *parent)?)),
            state => Some((key, state)),
        }
    }

    /// The operator erases a user.
    pub(crate) fn erase(&mut self, user: User) {
        for item in self.items.values_mut().filter(|item| item.owner == user) {
            item.state = State::Erased;
        }
    }

    /// The thumbnails of a media that were sent and not replaced.
    fn thumbnails(&self, of: Key) -> impl Iterator<Item = (Key, Sent)> {
        self.items.iter().filter_map(move |(key, item)| match item.state {
            State::Thumbnail(sent) if sent.parent == of => Some((*key, sent)),
            _ => None,
        })
    }

    /// What a media shows, and whether a message shows it.
    fn shown(&mut self, media: Key) -> Option<(&mut Option<Key>, bool)> {
        match &mut self.items.get_mut(&media)?.state {
            State::Receiving(Upload { thumbnail, .. })
            | State::Appending(Append { thumbnail, .. }) => Some((thumbnail, false)),
            State::Finished(Media { thumbnail, attached, .. }) => Some((thumbnail, *attached)),
            _ => None,
        }
    }

    /// From now on it is known of every thumbnail whether a picture can be made of it.
    pub(crate) fn settle(&mut self) {
        let waiting: Vec<_> = self
            .items
            .iter()
            .filter_map(|(key, item)| match item.state {
                State::Thumbnail(sent) if sent.waits => Some((*key, sent)),
                _ => None,
            })
            .collect();
        for (key, Sent { parent, kept, .. }) in waiting {
            let Some((shown, attached)) = self.shown(parent) else { continue };
            let tombstone = State::Replaced { parent };
            if attached && shown.is_some() {
                *self = self.with(key, tombstone); // a message shows another one
                continue;
            }
            *shown = (kept == 0).then_some(key);
            let others: Vec<_> =
                self.thumbnails(parent).map(|(other, _)| other).filter(|it| *it != key).collect();
            for other in others {
                *self = self.with(other, tombstone.clone());
            }
            *self = self.with(key, State::Thumbnail(Sent { parent, kept, waits: false }));
        }
    }

    /// Removes an upload or File with its thumbnails, or a thumbnail alone.
    fn remove(&mut self, key: Key, tombstone: State) {
        for item in self.items.values_mut() {
            match &mut item.state {
                State::Thumbnail(Sent { parent, .. }) | State::Replaced { parent }
                    if *parent == key =>
                {
                    item.state = State::Removed;
                }
                State::Receiving(Upload { thumbnail, .. })
                | State::Appending(Append { thumbnail, .. })
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

fn file(key: Key, media: &Media) -> File {
    File {
        key,
        name: media.name.clone(),
        size: media.bytes().len(),
        thumbnail: media.thumbnail.is_some(),
    }
}

fn is_wrong(md5: Option<&String>, bytes: &[u8]) -> bool {
    md5.is_some_and(|md5| *md5 != md5_of(bytes))
}
