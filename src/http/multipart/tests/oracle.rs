//! Comparison with `multer`, an independent parser: it reads the same parts from valid bodies, and
//! the same content from damaged bodies that both accept.
//!
//! Intended differences, and how the generators or `same` allow for them:
//! - multer doesn't decode the browsers' `%22`, doesn't know `filename*`, and returns no name if the
//!   bytes aren't UTF-8. So names here are plain, and a name that multer can't read isn't compared.
//! - multer takes the last of repeated headers, requires no Content-Disposition type, and finds
//!   `name=` anywhere in the value. We refuse these.
//! - multer finds `filename=` anywhere in the value, even within a quoted name. There, we don't.
//! - multer takes the first boundary anywhere in a line, and ignores anything after the closing one.
//!   We require a boundary to begin its line and to end properly.
//! - multer accepts headers that end in LF alone; we don't.
//! - If the boundary of an empty part follows the blank line at once, multer takes it for data
//!   (`shares_blank_line`).

use proptest::prelude::*;

use super::properties::{encode, mutate, mutations, parts, sizes};
use super::*;

type Content = (Option<String>, Option<String>, Vec<u8>);

/// What multer reads; `None` if it refuses the body, or waits for data that can't come.
fn multer_reads(body: &[u8], sizes: &[usize]) -> Option<Vec<Content>> {
    let mut form = multer::Multipart::new(ready(frames(body, sizes)), BOUNDARY);
    let read = async {
        let mut contents = Vec::new();
        while let Some(field) = form.next_field().await? {
            let name = field.name().map(str::to_owned);
            let filename = field.file_name().map(str::to_owned);
            let data = field.bytes().await?.to_vec();
            contents.push((name, filename, data));
        }
        Ok::<_, multer::Error>(contents)
    };
    read.now_or_never()?.ok()
}

fn same(ours: &Part, theirs: &Content) -> bool {
    let (name, filename, data) = theirs;
    let name_agrees = name.as_ref().is_none_or(|name| *name == ours.head.name);
    let filename_agrees = filename.is_none()
        || *filename == ours.head.filename
        || ours.head.name.contains("filename=");
    name_agrees && filename_agrees && *data == ours.data
}

fn shares_blank_line(body: &[u8]) -> bool {
    memchr::memmem::find(body, b"\r\n\r\n--bound").is_some()
}

proptest! {
    #[test]
    fn multer_reads_the_same_from_valid_forms(
        parts in parts("[a-z ;=-]{1,12}", "[a-z ;=-]{0,12}"),
        sizes in sizes(),
    ) {
        let body = encode(&parts);
        let ours = parse_split(&body, &sizes, LIMITS).unwrap();
        let theirs = multer_reads(&body, &sizes).unwrap();
        prop_assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            prop_assert!(same(ours, theirs), "{ours:?} {theirs:?}");
            prop_assert_eq!(&ours.head.filename, &theirs.1);
        }
    }

    #[test]
    fn where_multer_accepts_a_damaged_form_too_it_reads_the_same(
        parts in parts("[a-z]{1,12}", "[a-z]{0,12}"),
        sizes in sizes(),
        mutations in mutations(),
    ) {
        let mut body = encode(&parts);
        mutate(&mut body, &mutations);
        let ours = parse_split(&body, &sizes, LIMITS);
        if let (Ok(ours), Some(theirs)) = (ours, multer_reads(&body, &sizes)) {
            let equal = ours.len() == theirs.len()
                && ours.iter().zip(&theirs).all(|(ours, theirs)| same(ours, theirs));
            prop_assert!(
                equal || shares_blank_line(&body),
                "{:?}\n{ours:?}\n{theirs:?}",
                String::from_utf8_lossy(&body)
            );
        }
    }
}
