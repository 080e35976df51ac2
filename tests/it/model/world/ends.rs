//! Where an upload ends of which a request was cut off: unknown until a reply tells.

use super::super::request::{Answer, Entry, Key, Request};
use super::{Item, State, World};

impl World {
    /// The worlds that this may be, if the request has this answer: whatever it concerns ends where the two say, and what
    /// has all its bytes may be a File meanwhile.
    pub(crate) fn possible(&self, request: &Request, answer: Option<&Answer>) -> Vec<World> {
        let mut ends = answer.map_or_else(Vec::new, ends_in);
        if let Request::Patch(_, patch) = request {
            ends.push(patch.offset);
        }
        let mut worlds = vec![self.clone()];
        for key in self.concerned(request) {
            worlds = worlds.iter().flat_map(|world| world.ending(key, &ends)).collect();
        }
        worlds
    }

    /// Whether a reply would say where an upload ends of which that is unknown here.
    pub(super) fn would_tell_an_end(&self, request: &Request) -> bool {
        let tells = matches!(
            request,
            Request::Status(..) | Request::List(_) | Request::Patch(..) | Request::Head(..)
        );
        tells && self.concerned(request).into_iter().any(|key| self.is_open(key))
    }

    fn is_open(&self, key: Key) -> bool {
        matches!(&self.items[&key].state, State::Appending(upload) if upload.is_open())
    }

    fn ending(&self, key: Key, ends: &[usize]) -> Vec<World> {
        let State::Appending(upload) = &self.items[&key].state else {
            return vec![self.clone()];
        };
        let mut worlds = vec![self.clone()];
        if upload.is_open() {
            let told = ends.iter().filter_map(|end| upload.ending(*end));
            worlds.extend(told.map(|upload| self.with(key, State::Appending(upload))));
        } else if upload.is_complete() && !upload.is_piece {
            worlds.push(self.once_finished(key));
        }
        worlds
    }

    /// The uploads sent in order that a request is about.
    fn concerned(&self, request: &Request) -> Vec<Key> {
        let mut keys = match request {
            Request::List(user) => {
                let is_piece = |item: &Item| matches!(&item.state, State::Appending(upload) if upload.is_piece);
                let own =
                    self.items.iter().filter(|(_, item)| item.owner == *user && !is_piece(item));
                own.map(|(key, _)| *key).collect()
            }
            Request::Join(_, join) => join.pieces.clone(),
            Request::Status(_, key)
            | Request::File(_, key)
            | Request::Head(_, key)
            | Request::Redirect(_, key)
            | Request::Link(key, _) => vec![*key],
            other => other.changes().into_iter().collect(),
        };
        let stand_for = keys.iter().filter_map(|key| Some(self.stands_for(None, *key)?.0));
        keys.extend(stand_for.collect::<Vec<_>>());
        keys.sort_unstable();
        keys.dedup();
        let is_in_order = |key: &Key| {
            self.items.get(key).is_some_and(|item| matches!(item.state, State::Appending(_)))
        };
        keys.retain(is_in_order);
        keys
    }

    /// What a reply says to be a File, or not the one that was meant, isn't being finished any more.
    pub(crate) fn heard(&mut self, request: &Request, answer: &Answer) {
        use super::super::request::FileState::Finished;
        let key = match (request, answer) {
            (_, Answer::Created { state: Finished(key), .. })
            | (_, Answer::Appended { state: Finished(key), .. }) => Some(*key),
            (Request::Patch(_, patch), Answer::Refused { code: "md5_mismatch", .. }) => {
                Some(patch.key)
            }
            (Request::Join(..), Answer::Refused { code: "md5_mismatch", .. }) => Some(Key::MAX),
            _ => None,
        };
        if let Some(key) = key {
            *self = self.once_finished(key);
        }
    }
}

/// The ends that an answer names.
fn ends_in(answer: &Answer) -> Vec<usize> {
    match answer {
        Answer::Created { offset, .. } | Answer::Appended { offset, .. } => vec![*offset],
        Answer::Elsewhere(end) => vec![*end],
        Answer::Progress(progress) => vec![progress.offset],
        Answer::Unfinished { received, .. } => vec![*received],
        Answer::List(entries) => {
            let received = entries.iter().filter_map(|entry| match entry {
                Entry::Unfinished { received, .. } => Some(*received),
                Entry::Finished(_) => None,
            });
            received.collect()
        }
        Answer::Removed(removed) => vec![removed.bytes],
        _ => Vec::new(),
    }
}
