//! Properties that hold for every body and every split of it, over generated bodies and the
//! fuzzer's corpus, and tests that the work stays linear.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

#[path = "../../../../fuzz/fuzz_targets/multipart/invariants.rs"]
mod invariants;

/// Encodes a form as browsers do (WHATWG HTML, multipart/form-data encoding).
pub(super) fn encode(parts: &[Part]) -> Vec<u8> {
    let escape = |name: &str| name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
    let mut body = Vec::new();
    for part in parts {
        let name = escape(&part.head.name);
        body.extend(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"").bytes(),
        );
        if let Some(filename) = &part.head.filename {
            body.extend(format!("; filename=\"{}\"", escape(filename)).bytes());
        }
        if let Some(content_type) = &part.head.content_type {
            body.extend(format!("\r\nContent-Type: {content_type}").bytes());
        }
        body.extend(b"\r\n\r\n");
        body.extend(&part.data);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    body
}

/// Data without a delimiter, but with many near misses.
fn part_data() -> impl Strategy<Value = Vec<u8>> {
    let fragments = select(vec![
        "\r",
        "\n",
        "\r\n",
        "-",
        "--",
        "\r\n-",
        "\r\n--",
        "\r\n--b",
        "\r\n--boun",
        "bound",
        "--bound",
        "\r\n--boune",
        "x",
        "",
    ]);
    let fragments = fragments.prop_map(|text| text.as_bytes().to_vec());
    let pieces = prop_oneof![3 => fragments, 1 => vec(any::<u8>(), 0..40)];
    vec(pieces, 0..30).prop_map(|pieces| without_delimiter(&pieces.concat()))
}

/// The end of the blank line also counts as the beginning of a delimiter.
fn without_delimiter(data: &[u8]) -> Vec<u8> {
    let mut data = [b"\r\n", data].concat();
    while let Some(at) = memchr::memmem::find(&data, b"\r\n--bound") {
        data[at + 4] = b'x';
    }
    data.split_off(2)
}

/// Leaves out `%`, which is ambiguous in the browsers' encoding, and a backslash at the end, which
/// would escape the closing quote.
fn encodable_name(least: usize) -> impl Strategy<Value = String> {
    vec(any::<char>(), least..12).prop_map(|characters| {
        let name = characters.into_iter().collect::<String>();
        let mut name = name.replace(['%', '\0'], "_");
        if name.ends_with('\\') {
            name.push('_');
        }
        name
    })
}

pub(super) fn parts(
    name: impl Strategy<Value = String>,
    filename: impl Strategy<Value = String>,
) -> impl Strategy<Value = Vec<Part>> {
    let content_type = proptest::option::of("[a-z]{1,8}/[a-z]{1,8}");
    let filename = proptest::option::of(filename);
    let part = (name, filename, content_type, part_data());
    let part = part.prop_map(|(name, filename, content_type, data)| Part {
        head: PartHead { name, filename, content_type },
        data,
    });
    vec(part, 0..=LIMITS.max_parts)
}

pub(super) fn sizes() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![0..4_usize, 0..60_usize], 0..40)
}

proptest! {
    #[test]
    fn any_form_in_any_split_is_read_as_encoded(
        parts in parts(encodable_name(1), encodable_name(0)),
        sizes in sizes(),
    ) {
        prop_assert_eq!(parse_split(&encode(&parts), &sizes, LIMITS), Ok(parts));
    }

    #[test]
    fn a_truncated_form_is_never_complete(
        parts in parts(encodable_name(1), encodable_name(0)),
        sizes in sizes(),
        cut in any::<proptest::sample::Index>(),
    ) {
        let body = encode(&parts);
        // Only the closing CR LF may be missing.
        let body = &body[..cut.index(body.len() - 2)];
        prop_assert_eq!(
            parse_split(body, &sizes, LIMITS),
            Err(ParseError::Truncated)
        );
    }

    #[test]
    fn the_fuzzers_invariants_hold_for_mutated_forms(
        parts in parts(encodable_name(1), encodable_name(0)),
        sizes in vec(any::<u8>(), 1..8),
        mutations in mutations(),
    ) {
        let mut body = encode(&parts);
        mutate(&mut body, &mutations);
        invariants::check_body(&body, &sizes);
    }
}

/// Offset (modulo the length), number of bytes to remove, and bytes to insert.
pub(super) type Mutation = (usize, usize, &'static str);

pub(super) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let inserted = select(vec![
        "",
        "\r",
        "\n",
        "\r\n",
        "--",
        " ",
        "\0",
        "\"",
        ";",
        "--bound",
        "\r\n--bound",
        "\r\n--bound\r\n",
        "\r\n--bound--",
        "\r\n\r\n",
        HEAD,
    ]);
    vec((any::<usize>(), 0..4_usize, inserted), 1..5)
}

pub(super) fn mutate(body: &mut Vec<u8>, mutations: &[Mutation]) {
    for (at, removed, inserted) in mutations {
        let at = at % (body.len() + 1);
        let end = (at + removed).min(body.len());
        body.splice(at..end, inserted.bytes());
    }
}

#[test]
fn the_fuzzers_corpus_holds() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/multipart");
    let mut inputs = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        invariants::check(&std::fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0, "the corpus is missing");
}

/// Counts the bytes that the parser searches and compares, so that looking twice at the same bytes
/// shows on any machine.
#[test]
fn work_is_linear_in_the_body_however_it_is_split() {
    const LENGTH: usize = 200_000;
    for pattern in [
        "\r",
        "\n",
        "-",
        "\r\n",
        "\r\r\n-",
        "\r\n--",
        "\r\n--boun",
        "\r\n--boun\r",
        "\r\n--bounx",
        "--bound",
        "x",
    ] {
        for size in [1, 2, 3, 7, 8, 9, 64, 1000, usize::MAX] {
            let data = pattern.repeat(LENGTH / pattern.len());
            let body = format!("--bound\r\n{HEAD}x{data}\r\n--bound--\r\n");
            let mut parser = Parser::new(&boundary(), LIMITS);
            let parts = drive(&mut parser, frames(body.as_bytes(), &[size])).unwrap();
            assert_eq!(parts[0].data.len(), data.len() + 1);
            let work = parser.work;
            assert!(work >= data.len(), "the hook missed work: {pattern:?} {size}");
            assert!(work <= 3 * body.len() + 1000, "{work} for {pattern:?} in frames of {size}");
        }
    }
}

#[test]
fn header_work_is_linear_however_it_is_split() {
    let limits = Limits { max_header_bytes: 100_000, ..LIMITS };
    for line in ["x:\r\n".repeat(20_000), format!("x:{}\r\n", "y".repeat(90_000))] {
        for size in [1, 3, 1000, usize::MAX] {
            let body = format!("--bound\r\n{line}{HEAD}x\r\n--bound--\r\n");
            let mut parser = Parser::new(&boundary(), limits);
            drive(&mut parser, frames(body.as_bytes(), &[size])).unwrap();
            assert!(parser.work <= 3 * body.len() + 1000, "{} for frames of {size}", parser.work);
        }
    }
}
