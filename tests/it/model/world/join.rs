//! Uploads that are made of others.

use super::super::placing::{Codes, Part};
use super::super::request::{Answer, FileState, Join, Key, User};
use super::append::Append;
use super::{Outcomes, State, World};

impl World {
    pub(super) fn join(&self, user: User, join: &Join, made: Key) -> Outcomes {
        if let Some(whole) = self.joined_before(user, &join.pieces) {
            return self.joined_again(whole);
        }
        let mut codes = Codes::new();
        let mut joined: Vec<(Key, Part)> = Vec::new();
        for key in &join.pieces {
            match self.state(Some(user), *key) {
                None => codes.push("not_found"),
                Some(State::Removed | State::Erased) => codes.push("gone"),
                Some(State::Expired) => codes.push("expired"),
                Some(State::Appending(piece)) if piece.is_piece => {
                    if joined.iter().any(|(other, _)| other == key) {
                        codes.push("not_partial");
                    } else if !piece.is_complete() {
                        codes.push("bytes_missing");
                    }
                    let start = joined.last().map_or(0, |(_, part)| part.range().end);
                    joined.push((*key, Part { start, bytes: piece.bytes.clone() }));
                }
                Some(_) => codes.push("not_partial"),
            }
        }
        if !codes.is_empty() {
            return self.refused(codes);
        }
        let bytes: Vec<u8> = joined.iter().flat_map(|(_, part)| part.bytes.clone()).collect();
        let upload = Append {
            least: bytes.len(),
            total: Some(bytes.len()),
            bytes,
            name: join.name.clone(),
            md5: join.md5.clone(),
            joined,
            touched_day: self.day,
            ..Append::default()
        };
        let offset = upload.bytes.len();
        let mut world = self.with_new(user, made, State::Appending(upload));
        for key in &join.pieces {
            world = world.with(*key, State::Joined { whole: made });
        }
        world.reached(made, |state| Answer::Created { key: made, offset, state })
    }

    /// What the same pieces were joined into, in this order.
    fn joined_before(&self, user: User, pieces: &[Key]) -> Option<Key> {
        let (whole, state) = match self.state(Some(user), *pieces.first()?)? {
            State::Joined { whole } => (*whole, self.state(Some(user), *whole)?),
            _ => return None,
        };
        let made_of = match state {
            State::Appending(upload) => upload.joined.iter().map(|(piece, _)| *piece).collect(),
            State::Finished(media) => media.pieces.clone(),
            _ => return None,
        };
        (made_of == pieces).then_some(whole)
    }

    fn joined_again(&self, whole: Key) -> Outcomes {
        let created = |offset, state| Answer::Created { key: whole, offset, state };
        match &self.items[&whole].state {
            State::Appending(upload) => {
                let offset = upload.bytes.len();
                self.reached(whole, |state| created(offset, state))
            }
            State::Finished(media) => {
                self.same(created(media.bytes().len(), FileState::Finished(whole)))
            }
            _ => unreachable!("found as one of these"),
        }
    }
}
