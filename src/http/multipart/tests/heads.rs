//! Tests of part heads: what real clients send, and what is refused.

use super::*;

/// The head of the only part, with these header lines.
fn head_of(lines: &[u8]) -> Result<PartHead, ParseError> {
    let body = [b"--bound\r\n", lines, b"\r\n\r\nx\r\n--bound--\r\n"].concat();
    parse(&body).map(|mut parts| parts.remove(0).head)
}

fn disposition(parameters: &str) -> Result<PartHead, ParseError> {
    head_of(format!("Content-Disposition: {parameters}").as_bytes())
}

fn filename(parameters: &str) -> String {
    let head = disposition(&format!("form-data; name=file; {parameters}"));
    head.unwrap().filename.unwrap()
}

#[test]
fn header_names_may_have_any_case_order_and_white_space() {
    let expected = PartHead {
        name: "a".to_owned(),
        filename: Some("b.txt".to_owned()),
        content_type: Some("text/plain; charset=UTF-8".to_owned()),
    };
    for lines in [
        "Content-Disposition: form-data; name=\"a\"; filename=\"b.txt\"\r\n\
         Content-Type: text/plain; charset=UTF-8",
        "content-type:text/plain; charset=UTF-8 \r\n\
         CONTENT-DISPOSITION:\tForm-Data ;FILENAME = b.txt ; ;Name=a;",
        "Content-Length: 1\r\nContent-Type: text/plain; charset=UTF-8\r\n\
         Content-Transfer-Encoding: Binary\r\nX-Empty:\r\n\
         Content-Disposition: form-data; filename=b.txt; name=a; size=\"1;2\"",
    ] {
        assert_eq!(head_of(lines.as_bytes()).as_ref(), Ok(&expected));
    }
}

#[test]
fn filenames_are_decoded_as_real_clients_encode_them() {
    for (sent, expected) in [
        ("filename=cat.jpg", "cat.jpg"),
        ("filename=\"\"", ""),
        ("filename=\"my cat; 1.jpg\"", "my cat; 1.jpg"),
        (r#"filename="a\"b.jpg""#, "a\"b.jpg"),
        ("filename=\"a%22b%0D%0a.jpg\"", "a\"b\r\n.jpg"),
        ("filename=\"100%25 %41 %\"", "100%25 %41 %"),
        (r#"filename="C:\Documents\new.jpg""#, r"C:\Documents\new.jpg"),
        (r#"filename="\\server\a.jpg""#, r"\\server\a.jpg"),
        (r#"filename="ends in \\""#, r"ends in \\"),
        ("filename=\"gatto è.jpg\"", "gatto è.jpg"),
        ("filename=è.jpg", "è.jpg"),
        ("filename=\"tab\there\"", "tab\there"),
    ] {
        assert_eq!(filename(sent), expected, "{sent}");
    }
}

#[test]
fn a_valid_extended_filename_is_preferred() {
    for sent in [
        "filename=plain; filename*=UTF-8''%e2%82%AC%20rates",
        "filename*=utf-8'en'%e2%82%ac%20rates; filename=plain",
        "filename*=\"UTF-8''%e2%82%ac%20rates\"",
    ] {
        assert_eq!(filename(sent), "€ rates", "{sent}");
    }
}

#[test]
fn an_invalid_extended_filename_is_replaced_by_the_plain_one() {
    for extended in [
        "UTF-8''",
        "UTF-8''%e2%82",
        "UTF-8''%4",
        "UTF-8''%+4",
        "UTF-8''%zz",
        "ISO-8859-1''%a3",
        "UTF-8'%41",
        "name",
    ] {
        let sent = format!("filename*={extended}; filename=plain");
        assert_eq!(filename(&sent), "plain", "{sent}");
        let alone = disposition(&format!("form-data; name=a; filename*={extended}"));
        assert_eq!(alone.unwrap().filename, None, "{extended}");
    }
}

#[test]
fn names_are_decoded_too() {
    let head = disposition("form-data; name=\"a%22b\\\"\"").unwrap();
    assert_eq!(head.name, "a\"b\"");
}

#[test]
fn bytes_that_are_not_utf8_are_replaced() {
    let head = head_of(
        b"Content-Disposition: form-data; name=\"a\"; filename=\"caf\xe9.jpg\"\r\n\
          Content-Type: text/\xff",
    );
    let head = head.unwrap();
    assert_eq!(head.filename.as_deref(), Some("caf\u{fffd}.jpg"));
    assert_eq!(head.content_type.as_deref(), Some("text/\u{fffd}"));
}

#[test]
fn an_empty_content_type_counts_as_none() {
    let head = head_of(b"Content-Type: \r\nContent-Disposition: form-data; name=a");
    assert_eq!(head.unwrap().content_type, None);
}

#[test]
fn a_part_must_say_that_it_is_form_data() {
    let part = 1;
    let missing = Err(ParseError::MissingDisposition { part });
    assert_eq!(head_of(b"Content-Type: text/plain"), missing);
    assert_eq!(parse(b"--bound\r\n\r\nx\r\n--bound--").map(drop), {
        Err(ParseError::MissingDisposition { part })
    });
    for other in ["attachment; name=a", "", "form-data2; name=a"] {
        let not_form_data = Err(ParseError::NotFormData { part });
        assert_eq!(disposition(other), not_form_data, "{other}");
    }
}

#[test]
fn a_part_must_have_a_name() {
    for nameless in
        ["form-data", "form-data; filename=a", "form-data; name=\"\"", "form-data; name*=UTF-8''a"]
    {
        let missing = Err(ParseError::MissingName { part: 1 });
        assert_eq!(disposition(nameless), missing, "{nameless}");
    }
}

#[test]
fn malformed_and_repeated_parameters_are_refused() {
    for parameters in [
        "name=",
        "name",
        "=a",
        "name=\"a",
        "name=\"a\\\"",
        "name=\"a\"b",
        "name=a b",
        "name=a\"b\"",
        "na me=a",
        "name=a; name=a",
        "name=a; NAME=b",
        "name=a; filename=b; filename=b",
        "name=a; filename*=b; filename*=b",
    ] {
        let malformed = Err(ParseError::MalformedDisposition { part: 1 });
        assert_eq!(disposition(&format!("form-data; {parameters}")), malformed, "{parameters}");
    }
}

#[test]
fn known_headers_may_occur_once() {
    for (lines, header) in [
        (
            "Content-Disposition: form-data; name=a\r\n\
             content-disposition: form-data; name=a",
            "Content-Disposition",
        ),
        ("Content-Type: a/b\r\nContent-Type: a/b", "Content-Type"),
        (
            "Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: 8bit",
            "Content-Transfer-Encoding",
        ),
    ] {
        let duplicate = Err(ParseError::DuplicateHeader { part: 1, header });
        assert_eq!(head_of(lines.as_bytes()), duplicate);
    }
}

#[test]
fn encodings_that_change_bytes_are_refused() {
    for encoding in ["base64", "quoted-printable", "", "7bit, base64"] {
        let lines = format!(
            "Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: {encoding}"
        );
        assert_eq!(
            head_of(lines.as_bytes()),
            Err(ParseError::UnsupportedTransferEncoding { part: 1 })
        );
    }
    for encoding in ["7bit", "8BIT", "binary"] {
        let lines = format!(
            "Content-Transfer-Encoding: {encoding}\r\nContent-Disposition: form-data; name=a"
        );
        assert!(head_of(lines.as_bytes()).is_ok());
    }
}

#[test]
fn malformed_header_lines_are_refused() {
    for line in [
        "no colon",
        ": no name",
        "bad name: x",
        "Content-Disposition : form-data; name=a",
        "X: a\rb",
        "X: a\r",
        "X:\ra",
        "X: a\0b",
        " folded: x",
        "\tfolded: x",
        " ",
    ] {
        let lines = format!("Content-Disposition: form-data; name=a\r\n{line}");
        assert_eq!(
            head_of(lines.as_bytes()),
            Err(ParseError::MalformedHeader { part: 1 }),
            "{line:?}"
        );
    }
}
