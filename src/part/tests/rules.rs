//! Tests each placement rule separately, in the order of the protocol.

use super::*;

#[test]
fn a_declared_offset_comes_before_every_derived_one() {
    let known = layout(5, &[(0, 0..10)]);
    let by_header = Declaration { range: range(70, 80, None), ..index(1) };
    let by_field = Declaration { offset: Some(70), ..index(1) };
    for declared in [by_header, by_field] {
        assert_eq!(place(&declared, &known, Some(10)), at(70));
        assert_eq!(place(&declared, &known, None), at(70));
    }
}

#[test]
fn the_sum_of_the_parts_before_it_comes_before_an_even_cut() {
    let known = layout(5, &[(0, 0..10), (1, 10..13)]);
    assert_eq!(place(&index(2), &known, Some(10)), at(13));
    assert_eq!(place(&index(2), &known, None), at(13));
    assert_eq!(place(&index(0), &Layout::new(5), None), at(0));
    let all_but_last = layout(3, &[(0, 0..10), (1, 10..13)]);
    assert_eq!(place(&index(2), &all_but_last, None), at(13), "the last one too");
}

#[test]
fn a_part_in_the_middle_lies_at_its_index_times_its_own_length() {
    let known = layout(5, &[(0, 0..10)]);
    assert_eq!(place(&index(3), &known, Some(10)), evenly_at(30, 10));
    let declared = Declaration { size: Some(10), ..index(3) };
    assert_eq!(place(&declared, &known, None), evenly_at(30, 10));
    assert_eq!(place(&index(3), &known, None), Ok(Placement::NeedsSize));
}

#[test]
fn the_last_part_ends_where_the_file_does() {
    let mut known = layout(5, &[(0, 0..10)]);
    let declared = Declaration { total_size: Some(100), ..index(4) };
    assert_eq!(place(&declared, &known, Some(7)), at(93));
    assert_eq!(place(&declared, &known, None), Ok(Placement::NeedsSize));
    known.total_size = Some(100);
    assert_eq!(place(&index(4), &known, Some(7)), at(93), "the upload's total counts too");
}

#[test]
fn the_last_part_of_an_unknown_total_relies_on_the_length_of_any_other() {
    let known = layout(5, &[(2, 20..30)]);
    assert_eq!(place(&index(4), &known, Some(7)), evenly_at(40, 10));
    assert_eq!(place(&index(4), &known, None), evenly_at(40, 10));
}

#[test]
fn the_last_part_of_an_even_cut_may_have_any_length() {
    let mut known = layout(5, &[(2, 20..30)]);
    known.even_size = Some(10);
    for size in [1, 10, 25] {
        assert_eq!(place(&index(4), &known, Some(size)), evenly_at(40, 10));
    }
}

#[test]
fn a_file_of_no_bytes_is_one_empty_part() {
    assert_eq!(place(&index(0), &Layout::new(1), Some(0)), at(0));
}

#[test]
fn numbers_at_their_limits_do_not_wrap_around() {
    let last = i32::MAX.unsigned_abs() - 1;
    let known = Layout::new(last + 1);
    let huge = i64::MAX.unsigned_abs();
    assert_eq!(place(&index(last - 1), &known, Some(huge)), evenly_at(u64::MAX, huge));
    let declared = Declaration { offset: Some(huge), total_size: Some(huge), ..index(3) };
    let refused = place(&declared, &known, Some(huge));
    assert!(matches!(refused, Err(PlacementError::BeyondTotal { .. })), "{refused:?}");
}
