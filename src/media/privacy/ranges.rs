//! A set of byte ranges, with queries for containment and overlap.

use std::ops::Range;

/// Sorted ranges that don't overlap.
pub(super) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    pub(super) fn new(mut ranges: Vec<Range<u64>>) -> Self {
        ranges.retain(|range| !range.is_empty());
        ranges.sort_by_key(|range| range.start);
        ranges.dedup_by(|next, last| {
            let joined = next.start <= last.end;
            if joined {
                last.end = last.end.max(next.end);
            }
            joined
        });
        Self(ranges)
    }

    /// Whether a single range of the set contains all of `range`.
    pub(super) fn holds(&self, range: &Range<u64>) -> bool {
        self.first_ending_after(range.start).is_some_and(|piece| {
            piece.start <= range.start && range.start < range.end && range.end <= piece.end
        })
    }

    /// Whether any byte of `range` is in the set.
    pub(super) fn touches(&self, range: &Range<u64>) -> bool {
        self.first_ending_after(range.start).is_some_and(|piece| piece.start < range.end)
    }

    /// The first range that ends after `at`.
    fn first_ending_after(&self, at: u64) -> Option<&Range<u64>> {
        self.0.get(self.0.partition_point(|piece| piece.end <= at))
    }
}

#[cfg(test)]
mod tests {
    use super::Ranges;

    #[test]
    fn a_range_is_held_by_one_piece() {
        let set = Ranges::new(vec![20..30, 0..5, 3..10]);
        assert!(set.holds(&(0..10)) && set.holds(&(4..6)) && set.holds(&(20..30)));
        assert!(!set.holds(&(9..11)) && !set.holds(&(10..20)) && !set.holds(&(5..25)));
    }

    #[test]
    fn an_empty_range_is_held_by_none() {
        assert!(!Ranges::new(vec![0..5, 7..9]).holds(&(2..2)));
    }

    #[test]
    fn ranges_touch_where_they_share_a_byte() {
        let set = Ranges::new(vec![10..20, 30..40]);
        assert!(set.touches(&(0..11)) && set.touches(&(19..30)) && set.touches(&(0..100)));
        assert!(!set.touches(&(0..10)) && !set.touches(&(20..30)) && !set.touches(&(40..50)));
    }
}
