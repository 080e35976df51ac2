//! How sequences are drawn: which steps, how often, and with how many mistakes.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

use super::tus::tus;
use super::{Act, Case, OWN_UUIDS, Said, Step, Twist, What};
use crate::properties::{Cut, plan};

pub(super) fn said() -> impl Strategy<Value = Said> {
    prop_oneof![6 => Just(Said::Nothing), 3 => Just(Said::Right), 1 => Just(Said::Wrong)]
}

fn twist() -> impl Strategy<Value = Twist> {
    prop_oneof![
        30 => Just(Twist::None),
        4 => Just(Twist::OtherBytes),
        1 => Just(Twist::Shorter),
        1 => Just(Twist::Longer),
        1 => Just(Twist::Empty),
        1 => Just(Twist::PastTheLast),
        1 => Just(Twist::OtherCount),
        1 => Just(Twist::OtherTotal),
        2 => Just(Twist::Moved),
        1 => Just(Twist::SizeLie),
        1 => Just(Twist::RangeLie),
    ]
}

fn what() -> impl Strategy<Value = What> {
    let rarely = prop::bool::weighted(0.12);
    let named = || weighted(0.3, 0..3_u8);
    let chunk = (rarely, any::<u8>(), twist(), 1..6_u8, named(), prop::bool::weighted(0.95));
    let chunk = chunk.prop_map(|(made, index, twist, by, named, says_parts)| What::Chunk {
        made,
        index,
        twist,
        by,
        named,
        says_parts,
    });
    let parent = weighted(0.1, any::<u8>());
    let single = (any::<bool>(), parent, said(), said(), named(), twist());
    let single = single.prop_map(|(made, parent, total, md5, named, twist)| What::Single {
        made,
        parent,
        total,
        md5,
        named,
        twist,
    });
    let done = (said(), said(), named());
    let done = done.prop_map(|(total, md5, named)| What::Done { total, md5, named });
    prop_oneof![
        14 => chunk,
        3 => single,
        2 => (0..5_u8, said()).prop_map(|(picture, md5)| What::Thumbnail { picture, md5 }),
        6 => done,
        2 => Just(What::Status),
        2 => Just(What::File),
        1 => Just(What::List),
        2 => prop::bool::weighted(0.2).prop_map(|by_service| What::Delete { by_service }),
        1 => (any::<bool>(), any::<bool>())
            .prop_map(|(attach, of_user)| What::Files { attach, of_user }),
        3 => weighted(0.5, (any::<u8>(), any::<u8>())).prop_map(What::Link),
        18 => tus().prop_map(What::Tus),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let parts = (any::<u8>(), prop::bool::weighted(0.06), what(), plan());
    parts.prop_map(|(on, stranger, what, plan)| Act { on, stranger, what, plan })
}

/// Requests that mostly concern the same upload.
fn rivals(most: usize) -> impl Strategy<Value = Vec<Act>> {
    let same = proptest::bool::weighted(0.9);
    // The same request twice is the most important case.
    let twice = proptest::bool::weighted(0.3);
    (vec(act(), 2..=most), same, twice).prop_map(|(mut acts, same, twice)| {
        let first = acts[0].clone();
        for (at, act) in acts.iter_mut().enumerate().skip(1) {
            if same {
                act.on = first.on;
            }
            if twice && at == 1 {
                *act = first.clone();
            }
        }
        acts
    })
}

fn step() -> impl Strategy<Value = Step> {
    let through = (any::<u8>(), plan(), any::<bool>());
    let pieces = (vec(any::<u8>(), 1..4), plan(), prop::bool::weighted(0.3));
    let pieces = pieces.prop_map(|(on, plan, unheard)| Step::Pieces { on, plan, unheard });
    let stream = (any::<u8>(), plan(), 1..200_u8, prop::bool::weighted(0.2))
        .prop_map(|(on, plan, size, is_piece)| Step::Stream { on, plan, size, is_piece });
    let stalls = vec(weighted(0.3, 0..1000_u16), 3);
    let together = (rivals(3), stalls)
        .prop_map(|(acts, stalls)| Step::Together(acts.into_iter().zip(stalls).collect()));
    let kill =
        (rivals(3), 0..3000_u64).prop_map(|(acts, after_micros)| Step::Kill { acts, after_micros });
    prop_oneof![
        48 => act().prop_map(Step::One),
        14 => through.prop_map(|(on, plan, done)| Step::Through { on, plan, done }),
        7 => stream,
        4 => pieces,
        16 => together,
        5 => (act(), 0..1000_u16).prop_map(|(act, at)| Step::Cut(act, at)),
        4 => act().prop_map(Step::Unheard),
        3 => (1..10_u64).prop_map(|days| Step::Skip { days }),
        2 => Just(Step::Restart),
        2 => (0..2_usize).prop_map(Step::Erase),
        3 => kill,
    ]
}

/// Small files, so that chunks which are slightly wrong affect each other.
fn file() -> impl Strategy<Value = Cut> {
    let size = || prop_oneof![6 => 1..12_usize, 1 => 1..3000_usize];
    let even = (size(), 0..5_usize, size()).prop_map(|(size, count, last)| {
        let mut sizes = vec![size; count];
        sizes.push(last.min(size));
        sizes
    });
    let uneven = vec(size(), 1..=5);
    let sizes = prop_oneof![8 => even, 3 => uneven, 1 => Just(vec![0])];
    (sizes, any::<u64>()).prop_map(|(sizes, seed)| Cut { sizes, seed })
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let parts = (vec(file(), OWN_UUIDS), vec(step(), 5..40));
    parts.prop_map(|(files, steps)| Case { files, steps })
}
