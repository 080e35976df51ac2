//! Boxes of MP4 and related formats: which stay, and the samples of telemetry.

use super::{EmbeddedMetadata, outcome, patched, plan};

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

/// A table: version, count, entries.
fn table(kind: &[u8], entries: &[u32]) -> Vec<u8> {
    let bytes = entries.iter().flat_map(|entry| entry.to_be_bytes());
    of(kind, &[0; 4].into_iter().chain(bytes).collect::<Vec<_>>())
}

/// A track with this handler and these tables.
fn track(handler: &[u8], tables: &[Vec<u8>]) -> Vec<u8> {
    let handler = of(b"hdlr", &[&[0; 8], handler, &[0; 13]].concat());
    let media = of(b"minf", &of(b"stbl", &tables.concat()));
    of(b"trak", &of(b"mdia", &[handler, media].concat()))
}

/// A `free` box of the same length.
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
fn unknown_boxes_without_media_are_removed() {
    for kind in [b"wxyz", b"udat", b"IDIT", b"GPS ", b"prft"] {
        becomes(
            &[movie(&[]), of(kind, b"secret")].concat(),
            &[movie(&[]), of(b"free", &[0; 6])].concat(),
        );
    }
    let tables = [table(b"stsz", &[4, 1]), table(b"stsc", &[1, 1, 1, 1]), table(b"stco", &[1, 24])];
    let track = track(b"vide", &tables);
    let file = [of(b"ftyp", b"isom\0\0\0\0"), of(b"wxyz", b"data"), of(b"moov", &track)].concat();
    becomes(&file, &file);
    assert_eq!(outcome(&file, "video/mp4"), EmbeddedMetadata::Kept);
}

#[test]
fn media_in_free_boxes_stays() {
    let tables = [table(b"stsz", &[4, 1]), table(b"stsc", &[1, 1, 1, 1]), table(b"stco", &[1, 24])];
    let track = track(b"vide", &tables);
    for kind in [b"free", b"skip"] {
        let file = [of(b"ftyp", b"isom\0\0\0\0"), of(kind, b"data"), of(b"moov", &track)].concat();
        becomes(&file, &file);
    }
}

#[test]
fn bytes_after_padding_are_removed_too() {
    let padded = |end: &[u8]| [movie(&[]), vec![0; 100_000], end.to_vec()].concat();
    becomes(&padded(b"secret"), &padded(&[0; 6]));
}

#[test]
fn without_an_index_unknown_boxes_stay() {
    let file = [of(b"ftyp", b"isom\0\0\0\0"), of(b"wxyz", b"samples")].concat();
    becomes(&file, &file);
    assert_eq!(outcome(&file, "video/mp4"), EmbeddedMetadata::Kept);
}

#[test]
fn bytes_after_the_last_box_become_a_free_box() {
    for trailer in
        [b"\x0A\x0BPLANTED-serial".as_slice(), b"\0\0\0\x07secret", b"\0\0\0\0secret", b"12345678"]
    {
        let after = of(b"free", &vec![0; trailer.len() - 8]);
        becomes(&[movie(&[]), trailer.to_vec()].concat(), &[movie(&[]), after].concat());
    }
    becomes(&[movie(&[]), b"short".to_vec()].concat(), &[movie(&[]), vec![0; 5]].concat());
    let padded = [movie(&[]), vec![0; 100]].concat();
    becomes(&padded, &padded);
    assert_eq!(outcome(&padded, "video/mp4"), EmbeddedMetadata::None);
}

#[test]
fn truncated_media_data_is_not_a_trailer() {
    let file = [movie(&[]), b"\0\0\xFF\xFFmdatpictures".to_vec()].concat();
    becomes(&file, &file);
}

#[test]
fn many_boxes_hide_nothing() {
    let many = of(b"free", b"").repeat(100_001);
    let file = |kind: &[u8], body: &[u8]| [movie(&[]), many.clone(), of(kind, body)].concat();
    becomes(&file(b"uuid", b"secret"), &file(b"free", &[0; 6]));
}

/// A handler box. The name follows the manufacturer.
fn handler(class: &[u8], kind: &[u8], maker: &[u8], name: &[u8]) -> Vec<u8> {
    of(b"hdlr", &[&[0; 4], class, kind, maker, &[0; 8], name].concat())
}

#[test]
fn handlers_get_their_usual_names() {
    let track = |handler: Vec<u8>| movie(&[of(b"trak", &of(b"mdia", &handler))]);
    let plain = |kind: &[u8], name: &[u8]| track(handler(&[0; 4], kind, &[0; 4], name));
    becomes(
        &plain(b"vide", b"/home/jane.doe/a.h264\0"),
        &plain(b"vide", b"VideoHandler\0\0\0\0\0\0\0\0\0\0"),
    );
    becomes(&plain(b"soun", b"/home/jane/a\0"), &plain(b"soun", b"SoundHandler\0"));
    becomes(&plain(b"soun", b"jane's mic"), &plain(b"soun", &[0; 10]));
    let apple = |maker: &[u8], name: &[u8]| track(handler(b"mhlr", b"vide", maker, name));
    becomes(&apple(b"ACME", b"\x0EJane's cameras"), &apple(&[0; 4], b"\x0CVideoHandler\0\0"));
    becomes(&apple(b"ACME", b"\x0CJane's phone"), &apple(&[0; 4], b"\x0CVideoHandler"));
    becomes(&apple(b"ACME", b"\x04Jane"), &apple(&[0; 4], &[0; 5]));
}

/// A video track whose sample entry has this compressor name and these boxes.
fn pictures(compressor: &[u8; 32], boxes: &[u8]) -> Vec<u8> {
    let entry = [&[1; 42], compressor.as_slice(), &[1; 4], boxes].concat();
    track(
        b"vide",
        &[of(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], of(b"avc1", &entry).as_slice()].concat())],
    )
}

#[test]
fn compressor_names_are_removed_unless_decoders_need_them() {
    let name = |text: &[u8]| {
        let mut name = [0; 32];
        name[0] = u8::try_from(text.len()).unwrap();
        name[1..=text.len()].copy_from_slice(text);
        name
    };
    becomes(&movie(&[pictures(&name(b"ACME camera 7"), b"")]), &movie(&[pictures(&[0; 32], b"")]));
    let needed = movie(&[pictures(&name(b"Sorenson H263"), b"")]);
    becomes(&needed, &needed);
}

#[test]
fn a_purchasers_name_is_removed_and_the_key_stays() {
    let protected = |name: &[u8]| {
        let scheme = of(b"schi", &[of(b"user", b"\0\0\0\x07"), of(b"name", name)].concat());
        let boxes = of(b"sinf", &[of(b"frma", b"mp4a"), scheme].concat());
        let entry = of(b"drms", &[[0; 28].as_slice(), &boxes].concat());
        movie(&[track(b"soun", &[of(b"stsd", &[&[0; 8], entry.as_slice()].concat())])])
    };
    becomes(&protected(b"Jane Doe"), &protected(&[0; 8]));
    assert_eq!(outcome(&protected(&[0; 8]), "audio/mp4"), EmbeddedMetadata::Kept);
}

#[test]
fn paths_are_removed_if_the_media_is_in_the_same_file() {
    let film = |flags: u8, path: &[u8]| {
        let reference = of(b"alis", &[&[0, 0, 0, flags], path].concat());
        let list = [[0, 0, 0, 0, 0, 0, 0, 1].as_slice(), &reference].concat();
        let minf = of(b"minf", &of(b"dinf", &of(b"dref", &list)));
        movie(&[of(b"trak", &of(b"mdia", &minf))])
    };
    becomes(&film(1, b"Macintosh HD:jane"), &film(1, &[0; 17]));
    becomes(&film(0, b"Macintosh HD:jane"), &film(0, b"Macintosh HD:jane"));
    assert_eq!(outcome(&film(0, b"Macintosh HD:jane"), "video/quicktime"), EmbeddedMetadata::Kept);
}

/// An entry of Apple's metadata list.
fn entry(name: &[u8], text: &[u8]) -> Vec<u8> {
    let parts = [
        of(b"mean", b"\0\0\0\0com.apple.iTunes"),
        of(b"name", &[&[0; 4], name].concat()),
        of(b"data", &[b"\0\0\0\x01\0\0\0\0", text].concat()),
    ];
    of(b"----", &parts.concat())
}

fn user_data(entries: &[&[u8]], more: &[u8]) -> Vec<u8> {
    let handler = of(b"hdlr", b"\0\0\0\0\0\0\0\0mdirappl\0\0\0\0\0\0\0\0\0");
    let list = of(b"ilst", &entries.concat());
    let meta = of(b"meta", &[&[0; 4], handler.as_slice(), &list].concat());
    movie(&[of(b"udta", &[&meta, more].concat())])
}

#[test]
fn gapless_playback_information_stays_and_music_tags_are_removed() {
    let gaps = entry(b"iTunSMPB", b" 00000000 00000840 000001CA 0000000000006978");
    let title = of(b"\xA9nam", b"a song of mine");
    let rest = of(b"free", &[0; 14]);
    becomes(&user_data(&[&title, &gaps], b""), &user_data(&[&gaps], &rest));
    becomes(&user_data(&[&gaps], b"\0\0\0\0"), &user_data(&[&gaps], b"\0\0\0\0"));
}

#[test]
fn other_data_named_like_gapless_playback_information_is_removed() {
    for other in [entry(b"iTunSMPB", b"by me"), entry(b"iTunNORM", b" 00000840")] {
        let before = user_data(&[&other], b"");
        let length = before.len() - 32;
        becomes(&before, &movie(&[of(b"free", &vec![0; length])]));
    }
}

#[test]
fn a_compressed_index_stays_and_is_reported() {
    let file = movie(&[of(b"cmov", b"compressed")]);
    becomes(&file, &file);
    assert_eq!(outcome(&file, "video/quicktime"), EmbeddedMetadata::Kept);
}

#[test]
fn telemetry_in_fragments_stays_and_is_reported() {
    let film = [movie(&[track(b"data", &[])]), of(b"moof", b"m"), of(b"mdat", b"GPS")].concat();
    becomes(&film, &film);
    assert_eq!(outcome(&film, "video/mp4"), EmbeddedMetadata::Kept);
}

#[test]
fn only_uuid_boxes_that_players_need_stay() {
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
fn free_boxes_are_zeroed() {
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
fn creation_times_become_0() {
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
fn a_telemetry_track_and_its_samples_are_removed() {
    // Chunks at 24 and 34: two samples, then one.
    let tables = [
        table(b"stsz", &[0, 3, 2, 3, 4]),
        table(b"stsc", &[2, 1, 2, 1, 2, 1, 1]),
        table(b"stco", &[2, 24, 34]),
    ];
    for handler in [b"meta", b"camm", b"data", b"ctbx", b"nrtm", b"psmd"] {
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
fn tracks_that_are_shown_heard_or_read_stay() {
    let tables = [table(b"stsz", &[3, 1]), table(b"stsc", &[1, 1, 1, 1]), table(b"stco", &[1, 24])];
    for handler in [b"vide", b"soun", b"text", b"sbtl", b"subt", b"tmcd", b"hint"] {
        let track = track(handler, &tables);
        let file =
            [of(b"ftyp", b"isom\0\0\0\0"), of(b"mdat", b"one"), of(b"moov", &track)].concat();
        becomes(&file, &file);
    }
}

#[test]
fn sample_sizes_may_be_compact() {
    let sizes = of(b"stz2", &[0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 2, 3, 2]);
    let tables = [sizes, table(b"stsc", &[1, 1, 2, 1]), table(b"stco", &[1, 25])];
    let track = track(b"data", &tables);
    let file = |body: &[u8], index: &[u8]| {
        [of(b"ftyp", b"isom\0\0\0\0"), of(b"mdat", body), of(b"moov", index)].concat()
    };
    becomes(&file(b"pGGGGGp", &track), &file(b"p\0\0\0\0\0p", &freed(&track)));
}

#[test]
fn samples_outside_of_media_are_left_alone() {
    let tables =
        [table(b"stsz", &[4, 2]), table(b"stsc", &[1, 1, 1, 1]), table(b"stco", &[2, 0, 28])];
    let track = track(b"meta", &tables);
    let file = |index: &[u8]| {
        [of(b"ftyp", b"isom\0\0\0\0"), of(b"mdat", b"media"), of(b"moov", index)].concat()
    };
    becomes(&file(&track), &file(&track));
    assert_eq!(
        outcome(&file(&track), "video/mp4"),
        EmbeddedMetadata::Kept,
        "not all samples were removed"
    );
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
    becomes(&file(&[&ours, &theirs]), &file(&[&ours, &theirs]));
}

#[test]
fn the_video_in_a_picture_is_treated_as_a_video() {
    let file = |kind: &[u8], body: &[u8]| {
        [of(b"ftyp", b"heic\0\0\0\0"), of(b"mpvd", &movie(&[of(kind, body)]))].concat()
    };
    becomes(&file(b"udta", b"here"), &file(b"free", &[0; 4]));
}

#[test]
fn videos_in_videos_are_not_searched_for() {
    let nested = (0..1000).fold(Vec::new(), |inner, _| of(b"mpvd", &inner));
    assert_eq!(plan(&nested, "image/heic"), []);
}

#[test]
fn a_flood_of_telemetry_hides_nothing_else() {
    let chunks = 40_000; // of one byte each, with one between: more than half of a plan's limit, but not twice that
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
