//! Triggers each refusal and checks its numbers.

use super::*;

#[test]
fn an_index_out_of_range_is_refused() {
    let error = PlacementError::IndexOutOfRange { index: 5, total: 5 };
    assert_refused(place(&index(5), &Layout::new(5), Some(1)), &error);
}

#[test]
fn another_number_of_parts_is_refused() {
    let declared = Declaration { total_parts: Some(6), ..index(1) };
    let error = PlacementError::TotalPartsChanged { sent: 6, recorded: 5 };
    assert_refused(place(&declared, &Layout::new(5), Some(1)), &error);
}

#[test]
fn another_total_size_is_refused_in_the_field_and_in_the_range() {
    let mut known = Layout::new(5);
    known.total_size = Some(100);
    let by_field = Declaration { total_size: Some(101), ..index(0) };
    let by_header = Declaration { range: range(0, 10, Some(101)), ..index(0) };
    for (declared, stated) in
        [(by_field, StatementSource::Field), (by_header, StatementSource::Range)]
    {
        let error = PlacementError::TotalSizeChanged { stated, sent: 101, recorded: 100 };
        assert_refused(place(&declared, &known, Some(10)), &error);
    }
    let both = Declaration { total_size: Some(100), ..by_header };
    let refused = place(&both, &Layout::new(5), Some(10));
    assert!(matches!(refused, Err(PlacementError::TotalSizeChanged { .. })), "{refused:?}");
}

#[test]
fn a_total_below_what_is_stored_already_is_refused() {
    let known = layout(5, &[(3, 30..40)]);
    let declared = Declaration { total_size: Some(20), ..index(0) };
    let placed = place(&declared, &known, Some(10));
    assert!(placed.is_err(), "{placed:?}: bytes 30 to 39 are stored past a total of 20");
}

#[test]
fn two_declared_offsets_that_differ_are_refused() {
    let declared = Declaration { offset: Some(11), range: range(10, 20, None), ..index(1) };
    let error = PlacementError::OffsetMismatch { range_start: 10, offset: 11 };
    assert_refused(place(&declared, &Layout::new(5), Some(10)), &error);
    let agreeing = Declaration { offset: Some(10), ..declared };
    assert_eq!(place(&agreeing, &Layout::new(5), Some(10)), at(10));
}

#[test]
fn a_size_other_than_declared_is_refused_in_the_field_and_in_the_range() {
    let by_field = Declaration { size: Some(9), ..index(0) };
    let by_header = Declaration { range: range(0, 9, None), ..index(0) };
    for (declared, stated) in
        [(by_field, StatementSource::Field), (by_header, StatementSource::Range)]
    {
        let error = PlacementError::SizeMismatch { stated, declared: 9, actual: 10 };
        assert_refused(place(&declared, &Layout::new(5), Some(10)), &error);
    }
    let both = Declaration { size: Some(10), ..by_header };
    let refused = place(&both, &Layout::new(5), None);
    assert!(matches!(refused, Err(PlacementError::SizeMismatch { .. })), "before any byte came");
}

#[test]
fn a_last_part_that_nothing_places_is_refused_with_what_would_help() {
    let error = PlacementError::OffsetUnknown { index: 4, total_size_would_help: true };
    assert_refused(place(&index(4), &Layout::new(5), Some(10)), &error);
    assert_refused(place(&index(4), &Layout::new(5), None), &error);
}

#[test]
fn a_part_that_breaks_the_even_cut_is_refused() {
    let mut known = layout(5, &[(2, 20..30)]);
    known.even_size = Some(10);
    let error = PlacementError::Uneven { index: 1, size: 11, even: 10 };
    assert_refused(place(&index(1), &known, Some(11)), &error);
    let declared = Declaration { offset: Some(50), ..index(1) };
    assert_refused(place(&declared, &known, Some(11)), &error);
}

#[test]
fn an_even_cut_is_not_assumed_if_sizes_differ() {
    let known = layout(6, &[(0, 0..10), (1, 10..21)]);
    let placed = place(&index(3), &known, Some(10));
    assert!(matches!(placed, Err(PlacementError::Uneven { index: 3, .. })), "{placed:?}");
}

#[test]
fn a_shared_byte_is_refused_and_a_shared_border_is_not() {
    let known = layout(5, &[(2, 20..30)]);
    let placed = |offset| {
        let declared = Declaration { offset: Some(offset), ..index(1) };
        place(&declared, &known, Some(10))
    };
    for offset in [11, 20, 25, 29] {
        let error = PlacementError::Overlap { index: 1, range: offset..offset + 10, other: 2 };
        assert_refused(placed(offset), &error);
    }
    assert_eq!(placed(10), at(10));
}

#[test]
fn a_part_out_of_the_order_of_indexes_is_refused() {
    let known = layout(5, &[(1, 20..30), (3, 40..50)]);
    let placed = |own, offset, size| {
        place(&Declaration { offset: Some(offset), ..index(own) }, &known, size)
    };
    for (own, offset, other) in [(0, 30, 1), (0, 99, 1), (2, 10, 1), (2, 50, 3), (4, 30, 3)] {
        let error = PlacementError::OutOfOrder { index: own, range: offset..offset + 10, other };
        assert_refused(placed(own, offset, Some(10)), &error);
        let error = PlacementError::OutOfOrder { index: own, range: offset..offset, other };
        assert_refused(placed(own, offset, None), &error);
    }
    for (own, offset) in [(0, 10), (2, 30), (4, 50)] {
        assert_eq!(placed(own, offset, Some(10)), at(offset));
    }
}

#[test]
fn an_overlap_of_a_part_of_unknown_length_has_the_byte_it_begins_at() {
    let known = layout(5, &[(2, 20..30)]);
    let declared = Declaration { offset: Some(25), ..index(1) };
    let error = PlacementError::Overlap { index: 1, range: 25..25, other: 2 };
    assert_refused(place(&declared, &known, None), &error);
}

#[test]
fn a_byte_past_the_total_is_refused_and_the_last_one_is_not() {
    let mut known = Layout::new(5);
    known.total_size = Some(100);
    let declared = |offset| Declaration { offset: Some(offset), ..index(3) };
    let error = PlacementError::BeyondTotal { index: 3, end: 101, total: 100 };
    assert_refused(place(&declared(91), &known, Some(10)), &error);
    assert_eq!(place(&declared(90), &known, Some(10)), at(90));
    let larger_than_the_file = place(&index(4), &known, Some(101));
    let error = PlacementError::BeyondTotal { index: 4, end: 101, total: 100 };
    assert_refused(larger_than_the_file, &error);
}

#[test]
fn an_empty_part_among_several_is_refused() {
    let error = PlacementError::Empty { index: 1 };
    assert_refused(place(&index(1), &Layout::new(2), Some(0)), &error);
    let declared = Declaration { size: Some(0), ..index(1) };
    assert_refused(place(&declared, &Layout::new(2), None), &error);
}
