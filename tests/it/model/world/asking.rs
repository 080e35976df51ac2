//! Done (section 5 of the protocol), queries, and removals.

use super::super::Mistake;
use super::super::placing::Codes;
use super::super::request::{Answer, Done, Entry, Key, Removed, User};
use super::{Item, Media, Outcomes, Sent, State, Upload, World, file, is_wrong};

/// Done.
impl World {
    pub(super) fn done(&self, user: User, done: &Done) -> Outcomes {
        match self.state(Some(user), done.key) {
            None if self.is_erased(done.key) => self.refused(vec!["gone"]),
            None => self.refused(vec!["not_found"]),
            Some(State::Receiving(upload)) => self.finish(done, upload),
            Some(State::Appending(upload)) => self.done_in_order(done, upload),
            Some(State::Finished(media)) => {
                let codes = done_contradictions(done, &media.bytes());
                if !codes.is_empty() {
                    return self.refused(codes);
                }
                let mut media = media.clone();
                if let (false, Some(name)) = (media.named, &done.name) {
                    if !media.attached {
                        media.name = Some(name.clone());
                        media.named = self.mistake != Some(Mistake::RenamesFiles);
                    } else if media.name.as_ref() != Some(name) {
                        return self.refused(vec!["attached"]);
                    }
                }
                self.finished(done.key, media)
            }
            Some(State::Thumbnail(_) | State::Replaced { .. } | State::Joined { .. }) => {
                let mut outcomes = self.same(self.file_of(user, done.key));
                if done.total.is_some() || done.md5.is_some() {
                    // They may refer to the thumbnail or to its parent.
                    outcomes.extend(self.refused(vec!["size_mismatch", "md5_mismatch"]));
                }
                outcomes
            }
            Some(State::Removed | State::Erased) => self.refused(vec!["gone"]),
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
            pieces: Vec::new(),
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

    pub(super) fn finished(&self, key: Key, media: Media) -> Outcomes {
        let answer = Answer::File(file(key, &media));
        vec![(answer, self.with(key, State::Finished(media)))]
    }
}

/// Queries and removals.
impl World {
    pub(super) fn status(&self, user: User, key: Key) -> Answer {
        match self.stands_for(Some(user), key) {
            Some((_, State::Receiving(upload))) => Answer::Unfinished {
                parts: Some(upload.layout.count),
                total: upload.layout.total,
                received: upload.layout.received(),
                present: upload.layout.present(),
            },
            Some((_, State::Appending(upload))) => Answer::Unfinished {
                parts: None,
                total: upload.total,
                received: upload.bytes.len(),
                present: Vec::new(),
            },
            Some((_, State::Finished(media))) => Answer::Finished { size: media.bytes().len() },
            other => nothing(other.map(|(_, state)| state)),
        }
    }

    pub(super) fn file_of(&self, user: User, key: Key) -> Answer {
        match self.stands_for(Some(user), key) {
            Some((key, State::Finished(media))) => Answer::File(file(key, media)),
            other => nothing(other.map(|(_, state)| state)),
        }
    }

    pub(super) fn list(&self, user: User) -> Answer {
        let mut own: Vec<_> = self.items.iter().filter(|(_, item)| item.owner == user).collect();
        own.sort_by_key(|(_, item)| std::cmp::Reverse(item.begun));
        let entry = |(key, item): (&Key, &Item)| match &item.state {
            State::Receiving(Upload { layout, name, .. }) => {
                let has_begun = !layout.parts.is_empty();
                has_begun.then(|| Entry::Unfinished {
                    key: *key,
                    name: name.clone(),
                    parts: Some(layout.count),
                    total: layout.total,
                    received: layout.received(),
                })
            }
            State::Appending(upload) => (!upload.is_piece).then(|| Entry::Unfinished {
                key: *key,
                name: upload.name.clone(),
                parts: None,
                total: upload.total,
                received: upload.bytes.len(),
            }),
            State::Finished(media) => Some(Entry::Finished(file(*key, media))),
            _ => None,
        };
        Answer::List(own.into_iter().filter_map(entry).collect())
    }

    pub(super) fn delete(&self, user: Option<User>, key: Key) -> Outcomes {
        let (mut thumbnails, mut kept) = (0, 0);
        for (_, sent) in self.thumbnails(key) {
            thumbnails += 1;
            kept += sent.kept;
        }
        let removed = match self.state(user, key) {
            Some(State::Receiving(upload)) => Removed {
                unfinished: 1,
                thumbnails,
                bytes: upload.layout.received() + kept,
                ..Removed::default()
            },
            Some(State::Appending(upload)) => Removed {
                unfinished: 1,
                thumbnails,
                bytes: upload.bytes.len() + kept,
                ..Removed::default()
            },
            Some(State::Finished(media)) if media.attached && user.is_some() => {
                return self.refused(vec!["attached"]);
            }
            Some(State::Finished(media)) => Removed {
                files: 1,
                thumbnails,
                bytes: media.bytes().len() + kept,
                ..Removed::default()
            },
            Some(State::Thumbnail(Sent { parent, kept, .. })) => {
                let parent = self.state(None, *parent);
                if matches!(parent, Some(State::Finished(media)) if media.attached)
                    && user.is_some()
                {
                    return self.refused(vec!["attached"]);
                }
                Removed { thumbnails: 1, bytes: *kept, ..Removed::default() }
            }
            other => return self.same(nothing(other)),
        };
        let mut world = self.clone();
        world.remove(key, State::Removed);
        vec![(Answer::Removed(removed), world)]
    }

    pub(super) fn files(&self, key: Key, attach: bool, of: Option<User>) -> Outcomes {
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

    /// A link shows the uuid's own bytes.
    pub(super) fn link(&self, key: Key, range: Option<(usize, usize)>) -> Answer {
        let media = match self.state(None, key) {
            Some(State::Finished(media)) => media,
            Some(State::Thumbnail(_)) => return Answer::Picture,
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

/// Why there is nothing to return.
pub(super) fn nothing(state: Option<&State>) -> Answer {
    Answer::refused(match state {
        Some(State::Removed | State::Replaced { .. } | State::Joined { .. }) => "gone",
        Some(State::Expired) => "expired",
        _ => "not_found",
    })
}

pub(super) fn done_contradictions(done: &Done, bytes: &[u8]) -> Codes {
    let mut codes = Codes::new();
    if done.total.is_some_and(|total| total != bytes.len()) {
        codes.push("size_mismatch");
    }
    if is_wrong(done.md5.as_ref(), bytes) {
        codes.push("md5_mismatch");
    }
    codes
}
