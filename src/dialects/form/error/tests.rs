//! Messages of refusals: they name the mistake, the fields and the numbers.

use super::*;

#[test]
fn errors_of_misplaced_chunks_contain_the_numbers() {
    let (header, field) = (StatementSource::Range, StatementSource::Field);
    let cases: [(PlacementError, &str, &[&str]); 15] = [
        (PlacementError::TotalPartsMissing, "totalparts", &["totalparts"]),
        (
            PlacementError::IndexOutOfRange { index: 5, total: 5 },
            "partindex",
            &["partindex 5", "0 to 4"],
        ),
        (
            PlacementError::TotalPartsChanged { sent: 6, recorded: 5 },
            "totalparts",
            &["totalparts is 6", "with 5"],
        ),
        (
            PlacementError::TotalSizeChanged { stated: field, sent: 101, recorded: 100 },
            "totalfilesize",
            &["totalfilesize", "101", "100"],
        ),
        (
            PlacementError::TotalSizeChanged { stated: header, sent: 101, recorded: 100 },
            "totalfilesize",
            &["Content-Range", "101", "100"],
        ),
        (
            PlacementError::OffsetMismatch { range_start: 10, offset: 11 },
            "partbyteoffset",
            &["byte 10", "is 11"],
        ),
        (
            PlacementError::SizeMismatch { stated: field, declared: 9, actual: 10 },
            "chunksize",
            &["chunksize", "9", "10"],
        ),
        (
            PlacementError::SizeMismatch { stated: header, declared: 9, actual: 10 },
            "chunksize",
            &["Content-Range", "9", "10"],
        ),
        (
            PlacementError::OffsetUnknown { index: 4, total_size_would_help: true },
            "partbyteoffset",
            &["chunk 4", "partbyteoffset", "Content-Range", "totalfilesize"],
        ),
        (
            PlacementError::Uneven { index: 1, size: 11, even: 10 },
            "chunksize",
            &["chunk 1", "11", "chunks of 10"],
        ),
        (
            PlacementError::Overlap { index: 1, range: 25..35, other: 2 },
            "partbyteoffset",
            &["chunk 1", "25", "34", "chunk 2"],
        ),
        (
            PlacementError::OutOfOrder { index: 3, range: 25..35, other: 2 },
            "partbyteoffset",
            &["chunk 3", "25", "34", "after chunk 2"],
        ),
        (
            PlacementError::OutOfOrder { index: 3, range: 25..35, other: 4 },
            "partbyteoffset",
            &["chunk 3", "25", "34", "before chunk 4"],
        ),
        (
            PlacementError::BeyondTotal { index: 3, end: 101, total: 100 },
            "totalfilesize",
            &["chunk 3", "101", "100"],
        ),
        (PlacementError::Empty { index: 1 }, "file", &["chunk 1", "0 bytes", "1 chunk"]),
    ];
    for (error, expected, texts) in cases {
        let (field, _, message) = placed(&error);
        assert_eq!(field, expected, "{message}");
        for text in texts {
            assert!(message.contains(text), "{text:?} is not in {message:?}");
        }
    }
}

#[test]
fn an_overlap_of_a_part_of_unknown_length_names_the_byte_it_begins_at() {
    let error = PlacementError::Overlap { index: 1, range: 25..25, other: 2 };
    let (_, _, message) = placed(&error);
    assert!(message.contains("25") && !message.contains("24"), "{message}");
}
