//! Tests the placement rules against the text of the protocol (section 4), and against models too simple to be wrong.

mod layout;
mod refusals;
mod rules;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

pub(super) fn part(range: Range<u64>) -> Part {
    Part { offset: range.start, size: range.end - range.start, crc32: 0 }
}

/// A layout with these parts.
pub(super) fn layout(total_parts: u32, parts: &[(PartIndex, Range<u64>)]) -> Layout {
    let mut layout = Layout::new(total_parts);
    for (index, range) in parts {
        layout.insert(*index, part(range.clone()));
    }
    layout
}

pub(super) fn at(start: u64) -> Result<Placement, PlacementError> {
    Ok(Placement::At { start, even_size: None })
}

pub(super) fn evenly_at(start: u64, even: u64) -> Result<Placement, PlacementError> {
    Ok(Placement::At { start, even_size: Some(even) })
}

pub(super) fn index(index: PartIndex) -> Declaration {
    Declaration { index, ..Declaration::default() }
}

pub(super) fn range(start: u64, end: u64, total: Option<u64>) -> Option<DeclaredRange> {
    Some(DeclaredRange { start, end, total })
}

/// Asserts that placing was refused with this error.
pub(super) fn assert_refused(placed: Result<Placement, PlacementError>, expected: &PlacementError) {
    assert_eq!(placed.as_ref(), Err(expected));
}

/// A file cut into chunks, all of one size except for the last, or not.
#[derive(Clone, Debug)]
struct Cut {
    sizes: Vec<u64>,
    even: bool,
}

impl Cut {
    fn range(&self, index: usize) -> Range<u64> {
        let start = self.sizes[..index].iter().sum();
        start..start + self.sizes[index]
    }

    fn total(&self) -> u64 {
        self.sizes.iter().sum()
    }
}

fn cut() -> impl Strategy<Value = Cut> {
    let even = (1..50_u64, 0..11_usize, 1..80_u64).prop_map(|(size, count, last)| {
        let mut sizes = vec![size; count];
        sizes.push(last);
        sizes
    });
    let any = vec(1..50_u64, 1..12);
    prop_oneof![even, any].prop_map(|sizes| {
        let (_, others) = sizes.split_last().expect("not empty");
        let even = others.windows(2).all(|pair| pair[0] == pair[1]);
        Cut { sizes, even }
    })
}

/// Which optional fields a chunk has.
#[derive(Clone, Copy, Debug)]
struct Said {
    offset: bool,
    size: bool,
    total: bool,
    content_range: bool,
    range_total: bool,
}

fn said() -> impl Strategy<Value = Said> {
    let rarely = || prop::bool::weighted(0.2);
    let fields = (rarely(), any::<bool>(), rarely(), rarely(), any::<bool>());
    fields.prop_map(|(offset, size, total, content_range, range_total)| Said {
        offset,
        size,
        total,
        content_range,
        range_total,
    })
}

/// The declaration of an honest client.
fn declare(cut: &Cut, index: usize, said: Said) -> Declaration {
    let (range, total) = (cut.range(index), cut.total());
    Declaration {
        index: index as u32,
        total_parts: Some(cut.sizes.len() as u32),
        total_size: said.total.then_some(total),
        offset: said.offset.then_some(range.start),
        size: said.size.then_some(range.end - range.start),
        range: said.content_range.then_some(DeclaredRange {
            start: range.start,
            end: range.end,
            total: said.range_total.then_some(total),
        }),
    }
}

/// Does what a server does with a placed part.
fn store(layout: &mut Layout, declared: &Declaration, at: Placement, size: u64) {
    let Placement::At { start, even_size } = at else {
        panic!("the size was known");
    };
    layout.total_size =
        layout.total_size.or(declared.total_size).or(declared.range.and_then(|range| range.total));
    layout.even_size = even_size;
    layout.insert(declared.index, part(start..start + size));
}

proptest! {
    /// With any cut, order, repetition and subset of fields, a part gets the right offset or a precise refusal, and an
    /// upload that has accepted all its parts is complete.
    #[test]
    fn an_honest_chunk_goes_to_its_place_or_is_refused(
        cut in cut(),
        fields in vec(said(), 12),
        picks in vec(any::<Index>(), 0..40),
    ) {
        let count = cut.sizes.len();
        let mut layout = Layout::new(count as u32);
        let order = picks.iter().map(|pick| pick.index(count)).chain(0..count);
        for index in order {
            let (declared, size) = (declare(&cut, index, fields[index]), cut.sizes[index]);
            let placed = place(&declared, &layout, Some(size));
            let declared = match placed {
                Ok(Placement::At { start, .. }) => {
                    let certain = cut.even || fields[index].offset || fields[index].content_range;
                    prop_assert!(!certain || start == cut.range(index).start, "{start}");
                    declared
                }
                Ok(Placement::NeedsSize) => unreachable!("the size was given"),
                Err(PlacementError::OffsetUnknown { .. }) => {
                    prop_assert_eq!(index, count - 1, "only the last one can't be told");
                    prop_assert_eq!(layout.total_size, None);
                    prop_assert!(!fields[index].total && !fields[index].offset);
                    // Doing what the message asks for helps.
                    let with_total = Declaration { total_size: Some(cut.total()), ..declared };
                    let with_offset = Declaration { offset: Some(cut.range(index).start), ..declared };
                    for helped in [with_total, with_offset] {
                        let placed = place(&helped, &layout, Some(size));
                        prop_assert!(matches!(
                            placed,
                            Ok(Placement::At { start, .. }) if start == cut.range(index).start
                        ), "{placed:?}");
                    }
                    with_offset
                }
                Err(error) => {
                    prop_assert!(!cut.even, "{error:?}");
                    let precise = matches!(
                        error,
                        PlacementError::Uneven { .. }
                            | PlacementError::Overlap { .. }
                            | PlacementError::OutOfOrder { .. }
                            | PlacementError::BeyondTotal { .. }
                    );
                    prop_assert!(precise, "{error:?}");
                    return Ok(()); // it must start over, with one size or with offsets
                }
            };
            let placed = place(&declared, &layout, Some(size));
            store(&mut layout, &declared, placed.expect("as before"), size);
        }
        prop_assert_eq!(layout.missing(), []);
        prop_assert_eq!(layout.contiguous_size(), Ok(cut.total()));
    }

    /// Before the bytes have arrived, the result is the final one or "the size decides".
    #[test]
    fn learning_the_size_later_does_not_change_the_place(
        cut in cut(),
        fields in vec(said(), 12),
        picks in vec(any::<Index>(), 0..20),
    ) {
        let count = cut.sizes.len();
        let mut layout = Layout::new(count as u32);
        for index in picks.iter().map(|pick| pick.index(count)) {
            let (declared, size) = (declare(&cut, index, fields[index]), cut.sizes[index]);
            let early = place(&declared, &layout, None);
            let late = place(&declared, &layout, Some(size));
            match (early, late.clone()) {
                (Ok(Placement::At { start: early, .. }), Ok(Placement::At { start: late, .. })) => {
                    prop_assert_eq!(early, late);
                }
                (Err(_), Err(_)) => {} // the later one may have more reasons to refuse
                (Err(early), Ok(late)) => prop_assert!(false, "{early:?} and then {late:?}"),
                (Ok(_), Ok(Placement::NeedsSize)) => unreachable!("the size was given"),
                (Ok(_), _) => {}
            }
            if let Ok(placed) = late {
                store(&mut layout, &declared, placed, size);
            }
        }
    }

    /// Whatever is declared, true or not: stored parts never overlap, lie in the order of their indexes, never end
    /// after the total, and are even where a rule relied on it.
    #[test]
    fn no_declaration_makes_parts_that_contradict_each_other(
        total_parts in 1..8_u32,
        steps in vec((declaration(), 0..20_u64), 0..40),
    ) {
        let mut layout = Layout::new(total_parts);
        for (declared, size) in steps {
            if layout.part(declared.index).is_some() {
                continue; // it is compared, not placed
            }
            let Ok(placed) = place(&declared, &layout, Some(size)) else {
                continue;
            };
            store(&mut layout, &declared, placed, size);
            let parts: Vec<_> = layout.parts().collect();
            for (i, (index, one)) in parts.iter().enumerate() {
                prop_assert!(*index < total_parts);
                for (_, other) in &parts[i + 1..] {
                    prop_assert!(one.range().end <= other.offset, "{one:?} and {other:?}");
                }
                if let (Some(even), true) = (layout.even_size, index + 1 < total_parts) {
                    prop_assert_eq!(one.size, even);
                }
            }
            let end = layout.part(declared.index).expect("stored").range().end;
            prop_assert!(layout.total_size.is_none_or(|total| end <= total));
        }
    }

    #[test]
    fn placing_again_gives_the_same_result(
        declared in declaration(),
        size in proptest::option::of(0..20_u64),
    ) {
        let layout = layout(6, &[(1, 10..20), (4, 40..50)]);
        prop_assert_eq!(place(&declared, &layout, size), place(&declared, &layout, size));
    }
}

/// Any declaration with small numbers, so that declarations interact.
fn declaration() -> impl Strategy<Value = Declaration> {
    let maybe = |range: Range<u64>| proptest::option::weighted(0.3, range);
    let content_range = proptest::option::weighted(0.2, (0..60_u64, 1..20_u64, maybe(0..80)));
    let fields = (0..9_u32, maybe(0..80), maybe(0..80), maybe(0..20), content_range);
    fields.prop_map(|(index, total_size, offset, size, content_range)| Declaration {
        index,
        total_parts: None,
        total_size,
        offset,
        size,
        range: content_range.map(|(start, size, total)| DeclaredRange {
            start,
            end: start + size,
            total: total.filter(|total| *total >= start + size),
        }),
    })
}
