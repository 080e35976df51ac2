//! How a file is split, and how each of its chunks is described and sent: what proptest varies.

use std::io::Write as _;
use std::ops::Range;

use md5::{Digest, Md5};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::process::http::{Multipart, Request};
use crate::process::ledger::Random;

/// Maximum number of chunks of a file here.
pub(crate) const MOST: usize = 8;

/// A file, and how it is split.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    pub(crate) sizes: Vec<usize>,
    pub(crate) seed: u64,
}

impl Cut {
    pub(crate) fn count(&self) -> usize {
        self.sizes.len()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        Random(self.seed).bytes(self.sizes.iter().sum())
    }

    pub(crate) fn range(&self, index: usize) -> Range<usize> {
        let start = self.sizes[..index].iter().sum();
        start..start + self.sizes[index]
    }

    /// Whether all chunks but the last have the same size.
    pub(crate) fn is_even(&self) -> bool {
        let (_, others) = self.sizes.split_last().expect("not empty");
        others.windows(2).all(|pair| pair[0] == pair[1])
    }
}

pub(crate) fn cut() -> impl Strategy<Value = Cut> {
    let even = (1..3000_usize, 0..MOST, 1..4000_usize).prop_map(|(size, count, last)| {
        let mut sizes = vec![size; count];
        sizes.push(last);
        sizes
    });
    let uneven = vec(1..3000_usize, 1..=MOST);
    (prop_oneof![2 => even, 1 => uneven], any::<u64>())
        .prop_map(|(sizes, seed)| Cut { sizes, seed })
}

/// How a chunk is described and sent.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The fields that may be left out.
    pub(crate) offset: bool,
    pub(crate) size: bool,
    pub(crate) total: bool,
    pub(crate) content_range: Option<RangeTotal>,
    /// One bit per field: whether it comes after the file, and which name it has.
    pub(crate) behind: u8,
    pub(crate) seed_names: u8,
    /// Sizes of the body's chunks; empty to send it with its length.
    pub(crate) framing: Vec<usize>,
    /// Sizes of the writes to the socket.
    pub(crate) writes: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum RangeTotal {
    Told,
    Star,
}

pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    let rarely = || prop::bool::weighted(0.3);
    let range = proptest::option::weighted(
        0.2,
        prop_oneof![Just(RangeTotal::Told), Just(RangeTotal::Star)],
    );
    let cuts = || prop_oneof![2 => Just(Vec::new()), 1 => vec(1..900_usize, 1..12)];
    let places = prop_oneof![1 => Just(0), 1 => Just(u8::MAX), 2 => any::<u8>()];
    let fields = (rarely(), any::<bool>(), rarely(), range);
    (fields, places, any::<u8>(), cuts(), cuts()).prop_map(
        |((offset, size, total, content_range), behind, seed_names, framing, writes)| Plan {
            offset,
            size,
            total,
            content_range,
            behind,
            seed_names,
            framing,
            writes,
        },
    )
}

/// A plan that states everything.
pub(crate) fn explicit() -> Plan {
    Plan {
        offset: true,
        size: true,
        total: true,
        content_range: None,
        behind: 0,
        seed_names: 0,
        framing: Vec::new(),
        writes: Vec::new(),
    }
}

impl Plan {
    pub(crate) fn says_offset(&self) -> bool {
        self.offset || self.content_range.is_some()
    }

    /// The fields of a chunk according to this plan.
    pub(crate) fn fields(&self, cut: &Cut, index: usize) -> Vec<(&'static str, String)> {
        let range = cut.range(index);
        let mut fields =
            vec![("partindex", index.to_string()), ("totalparts", cut.count().to_string())];
        if self.offset {
            fields.push(("partbyteoffset", range.start.to_string()));
        }
        if self.size {
            fields.push(("chunksize", range.len().to_string()));
        }
        if self.total {
            let total: usize = cut.sizes.iter().sum();
            fields.push(("totalfilesize", total.to_string()));
        }
        fields
    }

    /// The request with these fields and the chunk's bytes.
    pub(crate) fn request(
        &self,
        cut: &Cut,
        index: usize,
        id: Option<&str>,
        mut fields: Vec<(&'static str, String)>,
        bytes: &[u8],
    ) -> Request {
        fields.extend(id.map(|id| ("uuid", id.to_owned())));
        let mut request = Request::upload(self.form(&fields, bytes));
        if let Some(total) = self.content_range {
            let (range, whole) = (cut.range(index), cut.sizes.iter().sum::<usize>());
            let total = match total {
                RangeTotal::Told => whole.to_string(),
                RangeTotal::Star => "*".into(),
            };
            let value = format!("bytes {}-{}/{total}", range.start, range.end - 1);
            request = request.header("Content-Range", &value);
        }
        request.chunked(self.framing.clone())
    }

    /// A form with these fields, before and after the file, with both names.
    pub(crate) fn form(&self, fields: &[(&'static str, String)], bytes: &[u8]) -> Multipart {
        let bit = |bits: u8, at: usize| bits >> (at % 8) & 1 == 1;
        let add = |form: Multipart, wanted: bool| {
            let placed = fields.iter().enumerate();
            let placed = placed.filter(|(at, _)| bit(self.behind, *at) == wanted);
            placed.fold(form, |form, (at, (name, value))| {
                let prefix = if bit(self.seed_names, at) { "qq" } else { "" };
                form.field(&format!("{prefix}{name}"), value)
            })
        };
        let name = if bit(self.seed_names, 7) { "qqfile" } else { "file" };
        add(add(Multipart::default(), false).file(name, bytes), true)
    }
}

/// How the upload is finished.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finish {
    encoding: u8,
    total: bool,
    md5: bool,
}

pub(crate) fn finish() -> impl Strategy<Value = Finish> {
    let fields = (0..3_u8, any::<bool>(), any::<bool>());
    fields.prop_map(|(encoding, total, md5)| Finish { encoding, total, md5 })
}

pub(crate) fn md5_of(bytes: &[u8]) -> String {
    let digest = Md5::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Finish {
    pub(crate) fn request(self, id: &str, bytes: &[u8]) -> Request {
        let mut fields = vec![("qquuid", json!(id)), ("qqfilename", json!("cut.bin"))];
        if self.total {
            fields.push(("totalfilesize", json!(bytes.len())));
        }
        if self.md5 {
            fields.push(("md5", json!(md5_of(bytes))));
        }
        let text = |value: &Value| value.to_string().replace('"', "");
        match self.encoding {
            0 => Request::done(&fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
            1 => {
                let mut body = Vec::new();
                for (name, value) in &fields {
                    write!(body, "{name}={}&", text(value)).expect("written");
                }
                Request::new("POST", "/api/v2/pm/upload?done=")
                    .header("Content-Type", "application/x-www-form-urlencoded")
                    .body(body)
            }
            _ => {
                let form = fields.iter().fold(Multipart::default(), |form, (name, value)| {
                    form.field(name, text(value))
                });
                Request::new("POST", "/api/v2/pm/upload/?done=true").form(form)
            }
        }
    }
}
