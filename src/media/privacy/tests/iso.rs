//! Boxes of MP4 and its kin: which stay, and the samples of telemetry.

use super::{patched, plan};

pub(super) fn of(kind: &[u8], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
    [size.as_slice(), kind, body].concat()
}

fn movie(boxes: &[Vec<u8>]) -> Vec<u8> {
    [of(b"ftyp", b"isom\0\0\0\0"), of(b"moov", &boxes.concat())].concat()
}

fn becomes(before: &[u8], after: &[u8]) {
    assert_eq!(patched(before, "video/mp4"), after);
}

/// A table: a version, a count, entries.
fn table(kind: &[u8], entries: &[u32]) -> Vec<u8> {
    let bytes = entries.iter().flat_map(|entry| entry.to_be_bytes());
    of(kind, &[0; 4].into_iter().chain(bytes).collect::<Vec<_>>())
}

/// A track of this handler with these tables.
fn track(handler: &[u8], tables: &[Vec<u8>]) -> Vec<u8> {
    let handler = of(b"hdlr", &[&[0; 8], handler, &[0; 13]].concat());
    let media = of(b"minf", &of(b"stbl", &tables.concat()));
    of(b"trak", &of(b"mdia", &[handler, media].concat()))
}

/// A `free` box as long as this one.
fn freed(of: &[u8]) -> Vec<u8> {
    [&of[..4], b"free", &vec![0; of.len() - 8]].concat()
}

#[test]
fn user_data_and_unknown_boxes_of_the_index_become_free() {
    for kind in [b"udta", b"meta", b"gps ", b"smta"] {
        becomes(&movie(&[of(kind, b"secret")]), &movie(&[of(b"free", &[0; 6])]));
        let track = |kind, body: &[u8]| movie(&[of(b"trak", &of(kind, body))]);
        becomes(&track(kind, b"secret"), &track(b"free", &[0; 6]));
    }
}

#[test]
fn user_data_of_the_file_becomes_free() {
    for kind in [b"udta", b"meta", b"jumb", b"sefd"] {
        let file = |kind: &[u8], body: &[u8]| [movie(&[]), of(kind, body)].concat();
        becomes(&file(kind, b"secrets!"), &file(b"free", &[0; 8]));
    }
}

#[test]
fn boxes_that_players_need_stay() {
    let kept = movie(&[
        of(b"mvex", b"fragments"),
        of(b"pssh", b"protection"),
        of(b"trak", &[of(b"edts", b"edits"), of(b"tref", b"chap"), of(b"tapt", b"")].concat()),
    ]);
    becomes(&kept, &kept);
    let fragments =
        [movie(&[]), of(b"sidx", b"index"), of(b"moof", b"m"), of(b"mdat", b"d")].concat();
    becomes(&fragments, &fragments);
}

#[test]
fn unknown_boxes_of_the_file_may_be_media() {
    let file = [movie(&[]), of(b"wxyz", b"samples")].concat();
    becomes(&file, &file);
}

#[test]
fn only_boxes_of_users_that_players_need_stay() {
    let xmp =
        [b"\xBE\x7A\xCF\xCB\x97\xA9\x42\xE8\x9C\x71\x99\x94\x91\xE3\xAF\xAC", b"<x/>".as_slice()];
    let key =
        [b"\xA2\x39\x4F\x52\x5A\x9B\x4F\x14\xA2\x44\x6C\x42\x7C\x64\x8D\xF4", b"keys".as_slice()];
    let file = |kind: &[u8], first: &[u8]| {
        [movie(&[of(kind, first)]), of(kind, first), of(b"uuid", &key.concat())].concat()
    };
    becomes(&file(b"uuid", &xmp.concat()), &file(b"free", &[0; 20]));
    becomes(&of(b"uuid", b"short"), &of(b"free", &[0; 5]));
}

#[test]
fn free_boxes_are_emptied() {
    becomes(
        &[of(b"skip", b"GPS data"), movie(&[of(b"free", b"more")])].concat(),
        &[of(b"skip", &[0; 8]), movie(&[of(b"free", &[0; 4])])].concat(),
    );
}

#[test]
fn long_sizes_stay() {
    let long = |kind: &[u8], body: &[u8]| [b"\0\0\0\x01", kind, &[0; 7], &[22], body].concat();
    becomes(&movie(&[long(b"udta", b"secret")]), &movie(&[long(b"free", &[0; 6])]));
}

#[test]
fn times_of_creation_become_0() {
    let index = |version: u8, times: &[u8]| {
        let header = [&[version, 0, 0, 0], times, b"rest"].concat();
        let media = of(b"mdia", &of(b"mdhd", &header));
        let track = of(b"trak", &[of(b"tkhd", &header), media].concat());
        movie(&[of(b"mvhd", &header), track])
    };
    becomes(&index(0, b"madechgd"), &index(0, &[0; 8]));
    becomes(&index(1, b"made....changed."), &index(1, &[0; 16]));
    becomes(&movie(&[of(b"mvhd", b"short")]), &movie(&[of(b"mvhd", b"short")]));
}

#[test]
fn a_telemetry_track_and_its_samples_go() {
    // Chunks at 24 and 34: two samples, then one.
    let tables = [
        table(b"stsz", &[0, 3, 2, 3, 4]),
        table(b"stsc", &[2, 1, 2, 1, 2, 1, 1]),
        table(b"stco", &[2, 24, 34]),
    ];
    for handler in [b"meta", b"camm"] {
        let track = track(handler, &tables);
        let data = |body: &[u8]| [of(b"ftyp", b"isom\0\0\0\0"), of(b"mdat", body)].concat();
        let file = |body: &[u8], index: &[u8]| [data(body), of(b"moov", index)].concat();
        becomes(
            &file(b"GGGGGpictuHHHHre", &track),
            &file(b"\0\0\0\0\0pictu\0\0\0\0re", &freed(&track)),
        );
    }
}

#[test]
fn samples_may_be_of_one_size_and_far_away() {
    let tables =
        [table(b"stsz", &[3, 2]), table(b"stsc", &[1, 1, 2, 1]), table(b"co64", &[1, 0, 25])];
    let track = track(b"meta", &tables);
    let file = |body: &[u8], index: &[u8]| {
        [of(b"ftyp", b"isom\0\0\0\0"), of(b"mdat", body), of(b"moov", index)].concat()
    };
    becomes(&file(b"pGGGGGGp", &track), &file(b"p\0\0\0\0\0\0p", &freed(&track)));
}

#[test]
fn samples_outside_of_media_are_left_alone() {
    let tables =
        [table(b"stsz", &[4, 2]), table(b"stsc", &[1, 1, 1, 1]), table(b"stco", &[2, 0, 28])];
    let track = track(b"meta", &tables);
    let file = |index: &[u8]| {
        [of(b"ftyp", b"isom\0\0\0\0"), of(b"mdat", b"media"), of(b"moov", index)].concat()
    };
    becomes(&file(&track), &file(&freed(&track)));
}

#[test]
fn samples_of_other_tracks_are_left_alone() {
    let tables = |offset| {
        [table(b"stsz", &[4, 1]), table(b"stsc", &[1, 1, 1, 1]), table(b"stco", &[1, offset])]
    };
    let (ours, theirs) = (track(b"meta", &tables(24)), track(b"vide", &tables(26)));
    let file = |index: &[&[u8]]| {
        [of(b"ftyp", b"isom\0\0\0\0"), of(b"mdat", b"pictures"), of(b"moov", &index.concat())]
            .concat()
    };
    becomes(&file(&[&ours, &theirs]), &file(&[&freed(&ours), &theirs]));
}

#[test]
fn the_clip_in_a_picture_is_treated_as_one() {
    let file = |kind: &[u8], body: &[u8]| {
        [of(b"ftyp", b"heic\0\0\0\0"), of(b"mpvd", &movie(&[of(kind, body)]))].concat()
    };
    becomes(&file(b"udta", b"here"), &file(b"free", &[0; 4]));
}

#[test]
fn clips_in_clips_are_not_looked_for() {
    let nested = (0..1000).fold(Vec::new(), |inner, _| of(b"mpvd", &inner));
    assert_eq!(plan(&nested, "image/heic"), []);
}

#[test]
fn a_flood_of_telemetry_hides_nothing_else() {
    let chunks = 40_000; // of one byte each, with one between: more than half of a plan, and twice that is too much
    let offsets: Vec<u32> = (0..chunks).map(|n| 24 + 2 * n).collect();
    let tables = |offsets: &[u32]| {
        let stco = [&[chunks], offsets].concat();
        [table(b"stsz", &[1, chunks]), table(b"stsc", &[1, 1, 1, 1]), table(b"stco", &stco)]
    };
    let (first, second) = (track(b"meta", &tables(&offsets)), track(b"meta", &tables(&offsets)));
    let data = vec![7; 2 * chunks as usize];
    let file = |index: &[u8], kind, body: &[u8]| {
        let start = [of(b"ftyp", b"isom\0\0\0\0"), of(b"mdat", &data)].concat();
        [start, of(b"moov", index), of(kind, body)].concat()
    };
    let before = file(&[first, second.clone()].concat(), b"udta", b"here");
    let after = patched(&before, "video/mp4");
    assert!(after.ends_with(&of(b"free", &[0; 4])));
    assert!(
        after[..after.len() - 12].ends_with(&second),
        "a track is hidden only after its samples"
    );
}
