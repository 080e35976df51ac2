//! Tests a layout against models that look at every part and every byte.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Parts that don't overlap and lie in the order of their indexes, with varying gaps and sizes, some indexes left out,
/// in any order of arrival.
fn in_order() -> impl Strategy<Value = Vec<(PartIndex, Range<u64>)>> {
    let pieces = vec((0..5_u64, 1..10_u64, prop::bool::weighted(0.7)), 0..12);
    let parts = pieces.prop_map(|pieces| {
        let mut end = 0;
        let ranges = pieces.into_iter().map(move |(gap, size, there)| {
            let start = end + gap;
            end = start + size;
            (start..end, there)
        });
        let there = (0..).zip(ranges).filter(|(_, (_, there))| *there);
        there.map(|(index, (range, _))| (index, range)).collect::<Vec<_>>()
    });
    parts.prop_shuffle()
}

proptest! {
    #[test]
    fn a_part_is_accepted_if_it_keeps_the_order_and_overlaps_no_other(
        parts in in_order(),
        own in 0..12_u32,
        start in 0..150_u64,
        size in 1..40_u64,
    ) {
        let (known, range) = (layout(12, &parts), start..start + size);
        let others = || parts.iter().filter(|(index, _)| *index != own);
        let shares = |part: &Range<u64>| range.clone().any(|byte| part.contains(&byte));
        let in_order = others().all(|(index, part)| {
            if *index < own { part.end <= range.start } else { range.end <= part.start }
        });
        let declared = Declaration { offset: Some(start), ..index(own) };
        match place(&declared, &known, Some(size)) {
            Ok(placed) => {
                prop_assert!(in_order);
                prop_assert_eq!(placed, Placement::At { start, even_size: None });
            }
            Err(PlacementError::Overlap { other, .. }) => {
                let named = others().find(|(index, _)| *index == other);
                prop_assert!(named.is_some_and(|(_, part)| shares(part)), "{other} of {parts:?}");
            }
            Err(PlacementError::OutOfOrder { other, .. }) => {
                let (_, part) = others().find(|(index, _)| *index == other).expect("it is there");
                let wrong = if other < own { part.start >= range.end } else { part.end <= range.start };
                prop_assert!(wrong, "{other} of {parts:?}");
            }
            Err(error) => prop_assert!(false, "{error:?}"),
        }
    }

    #[test]
    fn present_and_missing_are_ranges_of_indexes(
        total in 1..40_u32,
        picks in vec(0..40_u32, 0..60),
    ) {
        let mut known = Layout::new(total);
        let mut there = vec![false; total as usize];
        for index in picks.into_iter().filter(|index| *index < total) {
            known.insert(index, part(u64::from(index)..u64::from(index) + 1));
            there[index as usize] = true;
        }
        for (runs, wanted) in [(known.present(), true), (known.missing(), false)] {
            let listed: Vec<u32> = runs.iter().flat_map(|(first, last)| *first..=*last).collect();
            let expected: Vec<u32> = (0..total).filter(|i| there[*i as usize] == wanted).collect();
            prop_assert_eq!(listed, expected);
            // There are as few ranges as possible: between two of them, an index is missing.
            prop_assert!(runs.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        }
    }

    #[test]
    fn a_file_is_contiguous_when_each_part_begins_where_the_last_ended(
        sizes in vec(0..10_u64, 1..10),
        shifts in vec(prop::bool::weighted(0.05), 10),
        order in Just((0..10_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut known = Layout::new(sizes.len() as u32);
        let offset = |index: usize| {
            sizes[..index].iter().sum::<u64>() + u64::from(shifts[index])
        };
        for index in order.into_iter().filter(|index| *index < sizes.len()) {
            known.insert(index as u32, part(offset(index)..offset(index) + sizes[index]));
        }
        let mut end = 0;
        let mut expected = None;
        for (index, size) in sizes.iter().enumerate() {
            if offset(index) != end && expected.is_none() {
                expected = Some((index as u32, end));
            }
            end += size;
        }
        prop_assert_eq!(known.contiguous_size(), expected.map_or(Ok(end), Err));
    }

    #[test]
    fn received_bytes_are_counted_once(parts in in_order(), from in 0..150_u64) {
        let once = layout(12, &parts);
        let twice = layout(12, &[parts.clone(), parts.clone()].concat());
        let bytes: u64 = parts.iter().map(|(_, range)| range.end - range.start).sum();
        for known in [once, twice] {
            prop_assert_eq!(known.received_bytes(), bytes);
            prop_assert_eq!(known.parts().count(), parts.len());
            for (index, range) in &parts {
                prop_assert_eq!(known.part(*index), Some(&part(range.clone())));
            }
            let behind = parts.iter().any(|(_, range)| range.start >= from && !range.is_empty());
            prop_assert_eq!(known.stored_from(from), behind);
        }
    }
}

#[test]
fn inserting_an_index_again_changes_nothing() {
    let mut known = layout(3, &[(0, 0..10)]);
    known.insert(0, part(50..99));
    assert_eq!(known.part(0), Some(&part(0..10)));
    assert_eq!(known.received_bytes(), 10);
    let declared = Declaration { offset: Some(50), ..index(1) };
    assert_eq!(place(&declared, &known, Some(49)), at(50));
}
