//! Owns what must hold for the fields of any request, in either dialect and any encoding, and for any
//! `Content-Range`, for the fuzz target and for the tests that replay its corpus.

use haversack::dialects::form::fields::{FieldError, Form, canonical, content_range};
use haversack::http::values::decimal;
use haversack::part::DeclaredRange;

const USER: i64 = 1;

/// An input is its encoding (0: JSON, 1: a `Content-Range`, else urlencoded), and its text.
pub(crate) fn check(input: &[u8]) {
    match input {
        [] => {}
        [0, body @ ..] => check_json(body),
        [1, value @ ..] => check_content_range(&String::from_utf8_lossy(value)),
        [_, body @ ..] => check_urlencoded(body),
    }
}

fn check_content_range(value: &str) {
    let range = content_range(value);
    assert_eq!(Form::new(Some(value)).is_ok(), range.is_some());
    let Some(DeclaredRange { start, end, total }) = range else { return };
    assert!(start < end && total.is_none_or(|total| end <= total), "{value:?}");
    assert!(end <= 1 << 63, "{value:?}");
    let total = total.map_or("*".to_owned(), |total| total.to_string());
    let again = format!("bytes {start}-{}/{total}", end - 1);
    assert_eq!(content_range(&again), range);
    assert_eq!(decimal(&start.to_string()), Some(start));
}

fn check_json(body: &[u8]) {
    let Ok(object) = serde_json::from_slice(body) else { return };
    let mut form = Form::default();
    if let Err(error) = form.set_json(&object) {
        return check_error(&error);
    }
    check_form(&form);
    let mut twice = form.clone();
    assert_eq!(twice.set_json(&object), Ok(()), "the same again changes nothing");
    assert_eq!(readings(&twice), readings(&form));
}

/// The order of fields and their dialects make no difference.
fn check_urlencoded(body: &[u8]) {
    let mut form = Form::default();
    let taken = form.set_urlencoded(body);
    let pairs: Vec<_> = form_urlencoded::parse(body).collect();
    let mut turned = Form::default();
    let turned_taken = pairs.iter().rev().try_for_each(|(name, value)| {
        let current = canonical(name).unwrap_or(name);
        let other = if current == name { format!("qq{name}") } else { current.to_owned() };
        let name = if canonical(&other).is_some() { &other } else { current };
        turned.set(name, value.clone().into_owned())
    });
    assert_eq!(taken.is_ok(), turned_taken.is_ok());
    if let Err(error) = taken {
        return check_error(&error);
    }
    check_form(&form);
    assert_eq!(readings(&form), readings(&turned));
}

fn check_form(form: &Form) {
    match form.chunk(&USER.into()) {
        Ok(Some(chunk)) => {
            let declared = chunk.declared;
            assert!(i32::try_from(declared.index).is_ok());
            assert!(declared.total_parts.is_none_or(|total| i32::try_from(total).is_ok()));
            let sizes = [declared.total_size, declared.offset, declared.size];
            assert!(sizes.iter().flatten().all(|number| i64::try_from(*number).is_ok()));
            check_type(chunk.declared_type.as_deref());
        }
        Ok(None) => {}
        Err(error) => check_error(&error),
    }
    match form.single(&USER.into()) {
        Ok(single) => {
            assert!(single.duration_secs.is_none_or(|secs| secs <= 1_000_000_000));
            check_type(single.declared_type.as_deref());
        }
        Err(error) => check_error(&error),
    }
    if let Err(error) = form.done(&USER.into()) {
        check_error(&error);
    }
}

fn check_type(declared: Option<&str>) {
    assert!(declared.is_none_or(|text| text.bytes().all(|b| (b'!'..=b'~').contains(&b))));
}

/// A refusal names a field of ours and repeats nothing that was sent.
fn check_error(error: &FieldError) {
    assert_eq!(canonical(error.field), Some(error.field));
    assert!(error.message.bytes().all(|b| (b' '..=b'~').contains(&b)), "{error:?}");
    assert!(error.message.len() < 200, "{error:?}");
}

/// All that requests can be made of it.
fn readings(form: &Form) -> String {
    format!(
        "{:?} {:?} {:?} {}",
        form.chunk(&USER.into()),
        form.single(&USER.into()),
        form.done(&USER.into()),
        form.is_delete()
    )
}
