//! Reduces an XMP packet (ISO 16684-1) to gain maps and orientation.
//!
//! The packet keeps its length: what is removed becomes spaces, so that the result is a valid packet. Kept are Adobe's
//! and Apple's descriptions of gain maps, Google's directory of the pictures in a file, and the orientation. Their
//! values are numbers and fixed keywords; anything else is removed. Doesn't know where packets lie in files.

use std::io::{self, Read, Seek};
use std::ops::Range;

mod tokens;

use super::plan::read_up_to;
use tokens::{Attribute, Token, tokens};

/// Maximum length in bytes of a packet that is examined.
pub(super) const MAX: usize = 256 * 1024;
/// A packet without properties.
pub(super) const EMPTY: &[u8] = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>";

const META: &[u8] = b"adobe:ns:meta/";
const RDF: &[u8] = b"http://www.w3.org/1999/02/22-rdf-syntax-ns#";
const TIFF: &[u8] = b"http://ns.adobe.com/tiff/1.0/";
const GAIN_MAP: &[u8] = b"http://ns.adobe.com/hdr-gain-map/1.0/";
const CONTAINER: &[u8] = b"http://ns.google.com/photos/1.0/container/";
const ITEM: &[u8] = b"http://ns.google.com/photos/1.0/container/item/";
const APPLE_GAIN_MAP: &[u8] = b"http://ns.apple.com/HDRGainMap/1.0/";
const APPLE_PIXELS: &[u8] = b"http://ns.apple.com/pixeldatainfo/1.0/";
const NAMESPACES: [&[u8]; 8] =
    [META, RDF, TIFF, GAIN_MAP, CONTAINER, ITEM, APPLE_GAIN_MAP, APPLE_PIXELS];

/// Maximum depth of nested elements.
const MAX_DEPTH: usize = 64;
/// Maximum length of a value in bytes.
const MAX_VALUE: usize = 64;

/// The role of an XML name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Contains other elements.
    Frame,
    /// A list, or an entry of one, with the role of the element around it.
    List,
    /// A property that makes the packet worth keeping.
    Property,
    /// A property that is kept only along with one of those.
    Detail,
    Orientation,
    /// Removed.
    Other,
}

fn meaning(namespace: &[u8], name: &[u8]) -> Meaning {
    match (namespace, name) {
        (META, b"xmpmeta" | b"xapmeta")
        | (RDF, b"RDF" | b"Description")
        | (CONTAINER, b"Directory" | b"Item") => Meaning::Frame,
        (RDF, b"Seq" | b"Bag" | b"li") => Meaning::List,
        (
            GAIN_MAP,
            b"Version"
            | b"BaseRenditionIsHDR"
            | b"GainMapMin"
            | b"GainMapMax"
            | b"Gamma"
            | b"OffsetSDR"
            | b"OffsetHDR"
            | b"HDRCapacityMin"
            | b"HDRCapacityMax",
        )
        | (APPLE_GAIN_MAP, b"HDRGainMapVersion" | b"HDRGainMapHeadroom")
        | (APPLE_PIXELS, b"AuxiliaryImageType") => Meaning::Property,
        (ITEM, b"Semantic" | b"Mime" | b"Length" | b"Padding")
        | (APPLE_PIXELS, b"NativeFormat" | b"StoredFormat") => Meaning::Detail,
        (TIFF, b"Orientation") => Meaning::Orientation,
        _ => Meaning::Other,
    }
}

/// Reads the packet at this place, and reduces it as [`reduced`] does. Returns `None` for packets longer than [`MAX`].
pub(super) fn read(
    source: &mut (impl Read + Seek),
    packet: &Range<u64>,
) -> io::Result<Option<Vec<u8>>> {
    if packet.end.saturating_sub(packet.start) > MAX as u64 {
        return Ok(None);
    }
    Ok(reduced(&read_up_to(source, packet.clone(), MAX)?))
}

/// Returns the reduced packet, of the same length. `None` if nothing is worth keeping or the packet isn't plain XML in
/// UTF-8.
pub(super) fn reduced(packet: &[u8]) -> Option<Vec<u8>> {
    let kept = vec![b' '; packet.len()];
    let mut reduction = Reduction { packet, kept, found: false };
    reduction.run(&tokens(packet)?)?;
    reduction.found.then_some(reduction.kept)
}

struct Reduction<'a> {
    packet: &'a [u8],
    kept: Vec<u8>,
    found: bool,
}

/// An open element.
struct Open<'a> {
    name: &'a [u8],
    meaning: Meaning,
    /// The number of namespace declarations in effect outside it.
    declared: usize,
}

/// A prefix and its namespace.
type Declaration<'a> = (&'a [u8], &'a [u8]);

impl<'a> Reduction<'a> {
    /// Returns `None` if elements aren't properly nested.
    fn run(&mut self, tokens: &[Token]) -> Option<()> {
        let mut open: Vec<Open<'a>> = Vec::new();
        let mut declared: Vec<Declaration<'a>> = Vec::new();
        for token in tokens {
            let around = open.last().map_or(Meaning::Frame, |element| element.meaning);
            match token {
                Token::Start { name, attributes, end, is_empty } => {
                    let outside = declared.len();
                    declared.extend(attributes.iter().filter_map(|a| self.declaration(a)));
                    let meaning = self.start(name, attributes, end, around, &declared);
                    if *is_empty {
                        declared.truncate(outside);
                    } else {
                        let name = self.text(name);
                        open.push(Open { name, meaning, declared: outside });
                    }
                    if open.len() > MAX_DEPTH {
                        return None;
                    }
                }
                Token::End { name, all } => {
                    let element = open.pop().filter(|element| element.name == self.text(name))?;
                    declared.truncate(element.declared);
                    if element.meaning != Meaning::Other {
                        self.keep(all);
                    }
                }
                Token::Text(all) => {
                    self.value(all, around);
                }
                Token::Instruction(all) if is_wrapper(self.text(all)) => self.keep(all),
                Token::Instruction(_) | Token::Comment => {}
            }
        }
        open.is_empty().then_some(())
    }

    fn start(
        &mut self,
        name: &Range<usize>,
        attributes: &[Attribute],
        end: &Range<usize>,
        around: Meaning,
        declared: &[Declaration<'_>],
    ) -> Meaning {
        let meaning = match (around, self.meaning(name, declared)) {
            (Meaning::Other, _) => Meaning::Other,
            (around, Meaning::List) => around,
            (Meaning::Frame, meaning) => meaning,
            _ => Meaning::Other, // a value within a value
        };
        if meaning == Meaning::Other {
            return meaning;
        }
        self.keep(&(name.start - 1..name.end));
        self.keep(end);
        for attribute in attributes {
            let value = self.text(&attribute.value);
            let is_kept = match self.declaration(attribute) {
                Some((_, namespace)) => NAMESPACES.contains(&namespace),
                None => match self.meaning(&attribute.name, declared) {
                    Meaning::Frame | Meaning::List | Meaning::Other => {
                        let name = self.text(&attribute.name);
                        name.ends_with(b":about") && value.is_empty()
                            || name.ends_with(b":parseType") && value == b"Resource"
                    }
                    property => self.value(&attribute.value, property),
                },
            };
            if is_kept {
                self.keep(&attribute.all);
            }
        }
        meaning
    }

    /// Keeps a value if it is a number or keyword. Returns whether it does.
    fn value(&mut self, at: &Range<usize>, meaning: Meaning) -> bool {
        let value = self.text(at).trim_ascii();
        let is_plain = (1..=MAX_VALUE).contains(&value.len())
            && value.iter().all(|c| c.is_ascii_alphanumeric() || b"._/+:-".contains(c));
        let is_kept = match meaning {
            Meaning::Property | Meaning::Detail => is_plain,
            Meaning::Orientation => matches!(value, [b'2'..=b'8']),
            _ => false,
        };
        if is_kept {
            self.keep(at);
            self.found |= meaning != Meaning::Detail;
        }
        is_kept
    }

    /// The namespace declaration in an attribute, if it is one.
    fn declaration(&self, attribute: &Attribute) -> Option<Declaration<'a>> {
        let prefix = match self.text(&attribute.name) {
            b"xmlns" => &[],
            name => name.strip_prefix(b"xmlns:")?,
        };
        Some((prefix, self.text(&attribute.value)))
    }

    fn meaning(&self, name: &Range<usize>, declared: &[Declaration<'_>]) -> Meaning {
        let name = self.text(name);
        let (prefix, name) = match name.iter().position(|c| *c == b':') {
            Some(colon) => (&name[..colon], &name[colon + 1..]),
            None => (&[][..], name),
        };
        let namespace = declared.iter().rev().find(|(declared, _)| *declared == prefix);
        namespace.map_or(Meaning::Other, |(_, namespace)| meaning(namespace, name))
    }

    fn text(&self, at: &Range<usize>) -> &'a [u8] {
        &self.packet[at.clone()]
    }

    fn keep(&mut self, at: &Range<usize>) {
        self.kept[at.clone()].copy_from_slice(&self.packet[at.clone()]);
    }
}

/// Whether this is the header or trailer of a packet, which is the same in all packets.
fn is_wrapper(instruction: &[u8]) -> bool {
    let unquoted: Vec<u8> =
        instruction.iter().map(|c| if *c == b'\'' { b'"' } else { *c }).collect();
    let wrappers: [&[u8]; 4] = [
        b"<?xpacket begin=\"\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>",
        b"<?xpacket begin=\"\xEF\xBB\xBF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>",
        b"<?xpacket end=\"w\"?>",
        b"<?xpacket end=\"r\"?>",
    ];
    wrappers.contains(&unquoted.as_slice())
}
