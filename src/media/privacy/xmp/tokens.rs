//! A tokenizer for the subset of XML 1.0 that XMP uses.
//!
//! Doesn't interpret names. A text with a document type or CDATA is refused.

use std::ops::Range;

/// A token; ranges are in bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    Start {
        name: Range<usize>,
        attributes: Vec<Attribute>,
        /// Position of `>` or `/>`.
        end: Range<usize>,
        is_empty: bool,
    },
    End {
        name: Range<usize>,
        all: Range<usize>,
    },
    Text(Range<usize>),
    Instruction(Range<usize>),
    Comment,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: Range<usize>,
    /// Without the quotes.
    pub(super) value: Range<usize>,
    pub(super) all: Range<usize>,
}

/// Splits a text into tokens. Returns `None` if it isn't in the subset.
pub(super) fn tokens(text: &[u8]) -> Option<Vec<Token>> {
    let mut reader = Reader { text, at: 0 };
    let mut tokens = Vec::new();
    while reader.at < text.len() {
        tokens.push(reader.next()?);
    }
    Some(tokens)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<Token> {
        let start = self.at;
        let rest = &self.text[start..];
        Some(match rest {
            [b'<', b'?', ..] => Token::Instruction(self.through(b"?>")?),
            [b'<', b'!', b'-', b'-', ..] => {
                self.through(b"-->")?;
                Token::Comment
            }
            [b'<', b'/', ..] => {
                self.at += 2;
                let name = self.name()?;
                self.space();
                self.skip(b">")?;
                Token::End { name, all: start..self.at }
            }
            [b'<', ..] => self.start()?,
            _ => {
                self.at += memchr::memchr(b'<', rest).unwrap_or(rest.len());
                Token::Text(start..self.at)
            }
        })
    }

    fn start(&mut self) -> Option<Token> {
        self.at += 1;
        let name = self.name()?;
        let mut attributes = Vec::new();
        loop {
            let is_apart = self.space();
            let at = self.at;
            match self.text.get(at)? {
                b'>' => {
                    self.at += 1;
                    return Some(Token::Start {
                        name,
                        attributes,
                        end: at..at + 1,
                        is_empty: false,
                    });
                }
                b'/' => {
                    self.skip(b"/>")?;
                    return Some(Token::Start {
                        name,
                        attributes,
                        end: at..at + 2,
                        is_empty: true,
                    });
                }
                _ if is_apart => attributes.push(self.attribute()?),
                _ => return None,
            }
        }
    }

    fn attribute(&mut self) -> Option<Attribute> {
        let name = self.name()?;
        self.space();
        self.skip(b"=")?;
        self.space();
        let quote = *self.text.get(self.at).filter(|c| b"'\"".contains(c))?;
        let start = self.at + 1;
        let end = start + memchr::memchr(quote, &self.text[start..])?;
        self.at = end + 1;
        Some(Attribute { all: name.start..self.at, name, value: start..end })
    }

    fn name(&mut self) -> Option<Range<usize>> {
        let ends = |c: &u8| c.is_ascii_whitespace() || b"<>/='\"&?!".contains(c);
        let length = self.text[self.at..].iter().position(ends).filter(|length| *length > 0)?;
        let start = self.at;
        self.at += length;
        Some(start..self.at)
    }

    /// Skips white space. Returns whether there was any.
    fn space(&mut self) -> bool {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.at > start
    }

    fn skip(&mut self, expected: &[u8]) -> Option<()> {
        self.text[self.at..].starts_with(expected).then(|| self.at += expected.len())
    }

    fn through(&mut self, end: &[u8]) -> Option<Range<usize>> {
        let start = self.at;
        self.at += memchr::memmem::find(&self.text[start..], end)? + end.len();
        Some(start..self.at)
    }
}
