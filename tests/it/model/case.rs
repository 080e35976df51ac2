//! What proptest varies: sequences of steps over a few files, and how each request is written.
//!
//! A step refers to things by small numbers, so that a shortened sequence still makes sense. They become requests only
//! when the sequence runs.

mod drawn;
mod tus;

use super::request::{Chunk, ContentRange, Done, Key, Request, Single, Thumbnail, User};
use super::wire::{Name, Names};
use crate::harness::{BROKEN_GIF, jpeg, png};
use crate::properties::{Cut, Plan, RangeTotal, explicit, md5_of};
pub(crate) use drawn::case;

/// Number of uuids that a sequence's clients make; the server makes others.
const OWN_UUIDS: usize = 3;

use tus::Tus;

/// A sequence, and the files it is about.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) files: Vec<Cut>,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    One(Act),
    /// All chunks of a file, and possibly done.
    Through {
        on: u8,
        plan: Plan,
        done: bool,
    },
    /// A file by tus, in requests of about so many bytes.
    Stream {
        on: u8,
        plan: Plan,
        size: u8,
        is_piece: bool,
    },
    /// Pieces that are sent whole, and joined in another order.
    Pieces {
        on: Vec<u8>,
        plan: Plan,
        /// Whether nobody hears that they were joined, so that it is said again.
        unheard: bool,
    },
    /// Concurrent requests. Each may pause in the middle until another one is answered.
    Together(Vec<(Act, Option<u16>)>),
    /// The connection ends when this many thousandths of the request have been sent.
    Cut(Act, u16),
    /// The whole request is sent, and the reply is ignored.
    Unheard(Act),
    Skip {
        days: u64,
    },
    Restart,
    /// The operator erases one of the users.
    Erase(usize),
    /// The server is dropped this soon after these were sent.
    Kill {
        acts: Vec<Act>,
        after_micros: u64,
    },
}

/// A future request: `on` selects the uuid, and `stranger` a user who doesn't own it.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    on: u8,
    stranger: bool,
    what: What,
    pub(crate) plan: Plan,
}

#[derive(Clone, Debug)]
enum What {
    Chunk {
        made: bool,
        index: u8,
        twist: Twist,
        by: u8,
        named: Option<u8>,
        says_parts: bool,
    },
    Single {
        made: bool,
        parent: Option<u8>,
        total: Said,
        md5: Said,
        named: Option<u8>,
        twist: Twist,
    },
    Thumbnail {
        picture: u8,
        md5: Said,
    },
    Done {
        total: Said,
        md5: Said,
        named: Option<u8>,
    },
    Status,
    File,
    List,
    Delete {
        by_service: bool,
    },
    Files {
        attach: bool,
        of_user: bool,
    },
    Link(Option<(u8, u8)>),
    Tus(Tus),
}

/// Whether something is stated, and whether it is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Right,
    Wrong,
}

/// What is wrong with a chunk or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twist {
    None,
    OtherBytes,
    Shorter,
    Longer,
    Empty,
    PastTheLast,
    OtherCount,
    OtherTotal,
    Moved,
    SizeLie,
    RangeLie,
}

impl Case {
    /// The uuids that its clients make.
    pub(crate) fn names(&self) -> Names {
        let name = |at: usize| Name::new(crate::harness::new_uuid(), at % 2, at % self.files.len());
        Names((0..OWN_UUIDS).map(name).collect())
    }

    /// The acts that send a whole file.
    pub(crate) fn through(&self, on: u8, plan: &Plan, done: bool, names: &Names) -> Vec<Act> {
        let count = self.files[names.0[names.pick(on)].file].count();
        let act = |what| Act { on, stranger: false, what, plan: plan.clone() };
        let chunk = |index| What::Chunk {
            made: false,
            index,
            twist: Twist::None,
            by: 1,
            named: None,
            says_parts: true,
        };
        let chunks = (0..count as u8).map(|index| act(chunk(index)));
        let last = What::Done { total: Said::Right, md5: Said::Right, named: None };
        chunks.chain(done.then(|| act(last))).collect()
    }
}

impl Act {
    /// Looks at everything once more, at the end.
    pub(crate) fn look(key: Key, at: u8) -> Self {
        let what = [What::Tus(Tus::Head), What::Status, What::File, What::Link(None), What::List];
        let what = what[usize::from(at)].clone();
        Self { on: key as u8, stranger: false, what, plan: explicit() }
    }

    /// Which of the sequence's files it is about.
    pub(crate) fn file(&self, names: &Names) -> usize {
        names.0[names.pick(self.on)].file
    }

    /// The request that this has become.
    pub(crate) fn request(&self, files: &[Cut], names: &Names) -> Request {
        let key = names.pick(self.on);
        let name = &names.0[key];
        let user = if self.stranger { 1 - name.user } else { name.user };
        let file = &files[name.file];
        match self.what.clone() {
            What::Chunk { .. } => Request::Chunk(user, self.chunk(key, file)),
            What::Single { .. } => Request::Single(user, self.single(key, file, names)),
            What::Thumbnail { picture, md5 } => {
                Request::Thumbnail(user, thumbnail(key, picture, md5))
            }
            What::Done { total, md5, named } => {
                let bytes = file.bytes();
                let (total, md5) = (told_size(total, &bytes), told_md5(md5, &bytes));
                Request::Done(user, Done { key, total, md5, name: named.map(label) })
            }
            What::Status => Request::Status(user, key),
            What::File => Request::File(user, key),
            What::List => Request::List(user),
            What::Delete { by_service } => Request::Delete((!by_service).then_some(user), key),
            What::Files { attach, of_user } => {
                Request::Files { key, attach, of: of_user.then_some(user) }
            }
            What::Link(range) => link(user, key, name, range),
            What::Tus(what) => what.request(user, key, files, names),
        }
    }

    fn chunk(&self, key: Key, file: &Cut) -> Chunk {
        let What::Chunk { made, index, twist, by, named, says_parts } = self.what else {
            unreachable!("asked of chunks only");
        };
        let (count, by) = (file.count(), usize::from(by));
        let (index, range) = match twist {
            Twist::PastTheLast => (count + by - 1, 0..0),
            _ if made => (0, file.range(0)),
            _ => (usize::from(index) % count, file.range(usize::from(index) % count)),
        };
        let mut bytes = file.bytes()[range.clone()].to_vec();
        twist_bytes(&mut bytes, twist, by);
        let start = range.start + if twist == Twist::Moved { by } else { 0 };
        let total = file.bytes().len();
        let size = bytes.len();
        let says_range = self.plan.content_range.filter(|_| size > 0);
        Chunk {
            key: (!made).then_some(key),
            index,
            parts: says_parts.then_some(count + if twist == Twist::OtherCount { by } else { 0 }),
            offset: (self.plan.offset || (twist == Twist::Moved && says_range.is_none()))
                .then_some(start),
            size: match twist {
                Twist::SizeLie => Some(size + by),
                _ => self.plan.size.then_some(size),
            },
            total: match twist {
                Twist::OtherTotal => Some(total + by),
                _ => self.plan.total.then_some(total),
            },
            range: says_range.map(|says| content_range(range.start, size, total, says, twist, by)),
            name: named.map(label),
            bytes,
        }
    }

    fn single(&self, key: Key, file: &Cut, names: &Names) -> Single {
        let What::Single { made, parent, total, md5, named, twist } = self.what else {
            unreachable!("asked of single files only");
        };
        let mut bytes = file.bytes();
        twist_bytes(&mut bytes, twist, 3);
        let (size, says_range) = (bytes.len(), self.plan.content_range);
        let start = if twist == Twist::Moved { 2 } else { 0 };
        Single {
            key: (!made).then_some(key),
            parent: parent.filter(|_| !made).map(|on| names.pick(on)),
            size: match twist {
                Twist::SizeLie => Some(size + 3),
                _ => self.plan.size.then_some(size),
            },
            total: told_size(total, &bytes),
            range: says_range
                .filter(|_| size > 0)
                .map(|says| content_range(start, size, start + size, says, twist, 3)),
            md5: told_md5(md5, &bytes),
            name: named.map(label),
            bytes,
        }
    }
}

fn content_range(
    start: usize,
    size: usize,
    total: usize,
    says: RangeTotal,
    twist: Twist,
    by: usize,
) -> ContentRange {
    let size = size + if twist == Twist::RangeLie { by } else { 0 };
    // A range past its own total would not be a valid range.
    let total = total.max(start + size);
    let total = matches!(says, RangeTotal::Told).then_some(total);
    ContentRange { first: start, last: start + size - 1, total }
}

fn twist_bytes(bytes: &mut Vec<u8>, twist: Twist, by: usize) {
    match twist {
        Twist::OtherBytes => bytes.iter_mut().for_each(|byte| *byte ^= 1),
        Twist::Shorter => bytes.truncate(bytes.len().saturating_sub(by).max(1)),
        Twist::Longer => bytes.extend(vec![7; by]),
        Twist::Empty => bytes.clear(),
        _ => {}
    }
}

fn thumbnail(parent: Key, picture: u8, md5: Said) -> Thumbnail {
    let (is_image, decodes, bytes) = match picture {
        0 | 1 => (true, true, png()),
        2 => (true, true, jpeg()),
        3 => (true, false, BROKEN_GIF.to_vec()),
        _ => (false, false, b"no picture".to_vec()),
    };
    Thumbnail { parent, is_image, decodes, md5: told_md5(md5, &bytes), bytes }
}

/// A link once there is one, otherwise the File that contains it.
fn link(user: User, key: Key, name: &Name, range: Option<(u8, u8)>) -> Request {
    if name.link.is_none() {
        return Request::File(user, key);
    }
    let range = range.filter(|_| !name.is_thumbnail);
    Request::Link(key, range.map(|(a, b)| (a.min(b).into(), a.max(b).into())))
}

fn told_size(said: Said, bytes: &[u8]) -> Option<usize> {
    match said {
        Said::Nothing => None,
        Said::Right => Some(bytes.len()),
        Said::Wrong => Some(bytes.len() + 1),
    }
}

fn told_md5(said: Said, bytes: &[u8]) -> Option<String> {
    match said {
        Said::Nothing => None,
        Said::Right => Some(md5_of(bytes)),
        Said::Wrong => Some(md5_of(b"anything else")),
    }
}

fn label(number: u8) -> String {
    format!("name-{number}.bin")
}
