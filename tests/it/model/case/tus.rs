//! Requests by tus: what varies in them.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

use super::drawn::said;
use super::{Act, Case, Said, What, label, told_md5};
use crate::model::request::{Create, Join, Key, Patch, Request, User};
use crate::model::tus::Bytes;
use crate::model::wire::Names;
use crate::properties::{Cut, Plan};

#[derive(Clone, Debug)]
pub(super) enum Tus {
    Create {
        length: Length,
        is_piece: bool,
        md5: Said,
        named: Option<u8>,
        first: Option<Sent>,
    },
    Join {
        pieces: Vec<u8>,
        md5: Said,
        named: Option<u8>,
    },
    Patch {
        /// Where it goes, compared with where the upload ends.
        moved: i8,
        total: Said,
        sent: Sent,
    },
    Head,
    Redirect,
    End {
        by_service: bool,
    },
}

/// What a creation says about the size of the file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Length {
    Right,
    Later,
    None,
}

/// Bytes of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    amount: Amount,
    are_others: bool,
    checksum: Said,
}

#[derive(Clone, Copy, Debug)]
enum Amount {
    Some(u8),
    AllThatIsLeft,
    MoreThanIsLeft(u8),
}

fn sent() -> impl Strategy<Value = Sent> {
    let amount = prop_oneof![
        8 => Just(Amount::AllThatIsLeft),
        8 => (0..20_u8).prop_map(Amount::Some),
        1 => (1..5_u8).prop_map(Amount::MoreThanIsLeft),
    ];
    (amount, prop::bool::weighted(0.08), said()).prop_map(|(amount, are_others, checksum)| Sent {
        amount,
        are_others,
        checksum,
    })
}

pub(super) fn tus() -> impl Strategy<Value = Tus> {
    let named = || weighted(0.3, 0..3_u8);
    let length =
        prop_oneof![6 => Just(Length::Right), 3 => Just(Length::Later), 1 => Just(Length::None)];
    let is_piece = prop::bool::weighted(0.25);
    let create = (length, is_piece, said(), named(), weighted(0.4, sent()));
    let create = create.prop_map(|(length, is_piece, md5, named, first)| Tus::Create {
        length,
        is_piece,
        md5,
        named,
        first,
    });
    let join = (vec(any::<u8>(), 1..4), said(), named());
    let join = join.prop_map(|(pieces, md5, named)| Tus::Join { pieces, md5, named });
    let moved = prop_oneof![8 => Just(0), 1 => -3..0_i8, 1 => 1..4_i8];
    let patch = (moved, said(), sent());
    let patch = patch.prop_map(|(moved, total, sent)| Tus::Patch { moved, total, sent });
    prop_oneof![
        3 => create,
        2 => join,
        12 => patch,
        5 => Just(Tus::Head),
        1 => Just(Tus::Redirect),
        1 => prop::bool::weighted(0.2).prop_map(|by_service| Tus::End { by_service }),
    ]
}

impl Tus {
    /// The request that this has become.
    pub(super) fn request(&self, user: User, key: Key, files: &[Cut], names: &Names) -> Request {
        let name = &names.0[key];
        let file = files[name.file].bytes();
        match self {
            Self::Create { length, is_piece, md5, named, first } => {
                let length = match length {
                    Length::Right => Some(file.len()),
                    Length::Later => None,
                    Length::None => Some(0),
                };
                let create = Create {
                    length,
                    is_piece: *is_piece,
                    name: named.map(label),
                    md5: told_md5(*md5, &file),
                    bytes: first.map(|first| first.bytes(&file, 0)),
                };
                Request::Create(user, create)
            }
            Self::Join { pieces, md5, named } => {
                let pieces: Vec<Key> = pieces.iter().map(|piece| names.piece(*piece)).collect();
                let bytes = pieces.iter().map(|piece| files[names.0[*piece].file].bytes());
                let md5 = told_md5(*md5, &bytes.collect::<Vec<_>>().concat());
                Request::Join(user, Join { pieces, name: named.map(label), md5 })
            }
            Self::Patch { moved, total, sent } => {
                let offset = name.told.saturating_add_signed((*moved).into());
                let total = match total {
                    Said::Nothing => None,
                    Said::Right => Some(file.len()),
                    Said::Wrong => Some(file.len() + 1),
                };
                Request::Patch(user, Patch { key, offset, total, bytes: sent.bytes(&file, offset) })
            }
            Self::Head => Request::Head(user, key),
            Self::Redirect => Request::Redirect(user, key),
            Self::End { by_service } => Request::End((!by_service).then_some(user), key),
        }
    }
}

impl Sent {
    fn bytes(self, file: &[u8], from: usize) -> Bytes {
        let left = file.len().saturating_sub(from);
        let count = match self.amount {
            Amount::Some(count) => usize::from(count),
            Amount::AllThatIsLeft => left,
            Amount::MoreThanIsLeft(more) => left + usize::from(more),
        };
        let byte = |at| file.get(at).copied().unwrap_or(7) ^ u8::from(self.are_others);
        let checksum = match self.checksum {
            Said::Nothing => None,
            Said::Right => Some(true),
            Said::Wrong => Some(false),
        };
        Bytes { bytes: (from..from + count).map(byte).collect(), checksum }
    }
}

impl Names {
    /// A uuid that was created as a piece, if there is one.
    fn piece(&self, at: u8) -> Key {
        let all = (0..self.0.len()).filter(|key| self.0[*key].unheard.is_none());
        let pieces: Vec<Key> = all.clone().filter(|key| self.0[*key].is_piece).collect();
        let keys = if pieces.is_empty() || at > 240 { all.collect() } else { pieces };
        keys[usize::from(at) % keys.len()]
    }
}

impl Case {
    /// The acts that send a file by tus, if nothing goes wrong.
    pub(crate) fn stream(
        &self,
        on: u8,
        plan: &Plan,
        size: u8,
        is_piece: bool,
        names: &Names,
    ) -> Vec<Act> {
        let length = self.files[names.0[names.pick(on)].file].bytes().len();
        let act = |on: usize, what| Act {
            on: u8::try_from(on).expect("not that many"),
            stranger: false,
            what: What::Tus(what),
            plan: plan.clone(),
        };
        let md5 = if is_piece { Said::Nothing } else { Said::Right };
        let create = Tus::Create { length: Length::Right, is_piece, md5, named: None, first: None };
        let created = names.0.len(); // if that goes well
        let patch = |amount| {
            let sent = Sent { amount, are_others: false, checksum: Said::Nothing };
            Tus::Patch { moved: 0, total: Said::Nothing, sent }
        };
        let before = (length / usize::from(size)).min(4);
        let some = std::iter::repeat_with(|| act(created, patch(Amount::Some(size)))).take(before);
        let rest = act(created, patch(Amount::AllThatIsLeft));
        std::iter::once(act(usize::from(on), create)).chain(some).chain([rest]).collect()
    }

    /// The act that joins these, which were created as pieces, from the last to the first.
    pub(crate) fn joining(&self, pieces_of_one: &[Key], plan: &Plan, names: &Names) -> Option<Act> {
        let all: Vec<Key> = (0..names.0.len()).filter(|key| names.0[*key].is_piece).collect();
        let at = |piece: &Key| all.iter().position(|key| key == piece);
        let pieces: Option<Vec<u8>> =
            pieces_of_one.iter().rev().map(|piece| u8::try_from(at(piece)?).ok()).collect();
        let what = Tus::Join { pieces: pieces?, md5: Said::Right, named: None };
        let on = u8::try_from(*pieces_of_one.first()?).ok()?; // its user joins them
        Some(Act { on, stranger: false, what: What::Tus(what), plan: plan.clone() })
    }
}
