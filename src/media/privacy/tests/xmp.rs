//! Which properties of an XMP packet stay, and that it stays a valid packet.

use super::super::xmp::reduced;
use super::packet;

/// What stays, without the spaces that replace the rest.
fn left(packet: &str) -> Option<String> {
    let reduced = reduced(packet.as_bytes())?;
    assert_eq!(reduced.len(), packet.len());
    let text = String::from_utf8(reduced).unwrap();
    assert_eq!(super::super::xmp::reduced(text.as_bytes()).unwrap(), text.as_bytes(), "twice");
    Some(
        text.split_ascii_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace(" >", ">")
            .replace("> <", "><"),
    )
}

const NAMES: &str = "xmlns:hdrgm=\"http://ns.adobe.com/hdr-gain-map/1.0/\" \
    xmlns:Container=\"http://ns.google.com/photos/1.0/container/\" \
    xmlns:Item=\"http://ns.google.com/photos/1.0/container/item/\"";

/// The packet that is left, without the name of its tool.
fn bare(attributes: &str, elements: &str) -> String {
    packet(attributes, elements).replace(" x:xmptk=\"Adobe XMP Core 5.1.2\"", "")
}

#[test]
fn a_gain_map_and_its_directory_stay() {
    let directory = "<Container:Directory><rdf:Seq><rdf:li rdf:parseType=\"Resource\">\
        <Container:Item Item:Semantic=\"Primary\" Item:Mime=\"image/jpeg\"/></rdf:li>\
        <rdf:li rdf:parseType=\"Resource\"><Container:Item Item:Semantic=\"GainMap\" Item:Mime=\"image/jpeg\" \
        Item:Length=\"54321\"/></rdf:li></rdf:Seq></Container:Directory>";
    let attributes = format!("{NAMES} hdrgm:Version=\"1.0\" hdrgm:GainMapMin=\"-0.5\"");
    let secret = format!("{attributes} xmlns:me=\"http://me.example/\" me:Creator=\"me\"");
    let more = "<!-- mine --><me:Place>here<rdf:Bag><rdf:li>52.52</rdf:li></rdf:Bag></me:Place>";
    assert_eq!(
        left(&packet(&secret, &format!("{more}{directory}"))),
        Some(bare(&attributes, directory))
    );
}

#[test]
fn values_for_each_colour_stay() {
    let list = "<hdrgm:GainMapMax><rdf:Seq><rdf:li>1.5</rdf:li><rdf:li>1.25</rdf:li></rdf:Seq></hdrgm:GainMapMax>";
    assert_eq!(left(&packet(NAMES, list)), Some(bare(NAMES, list)));
}

#[test]
fn apples_gain_map_stays() {
    let apple = "xmlns:HDRGainMap=\"http://ns.apple.com/HDRGainMap/1.0/\" xmlns:apdi=\"http://ns.apple.com/pixeldatainfo/1.0/\"";
    let values = "<HDRGainMap:HDRGainMapVersion>131072</HDRGainMap:HDRGainMapVersion>\
        <apdi:AuxiliaryImageType>urn:com:apple:photo:2020:aux:hdrgainmap</apdi:AuxiliaryImageType>";
    assert_eq!(left(&packet(apple, values)), Some(bare(apple, values)));
}

#[test]
fn the_usual_wrapper_stays() {
    let wrap = |id: &str| {
        let inner = packet(NAMES, "<hdrgm:Version>1.0</hdrgm:Version>");
        format!("<?xpacket begin='\u{feff}' id='{id}'?>{inner}<?xpacket end='w'?>")
    };
    let usual = wrap("W5M0MpCehiHzreSzNTczkc9d");
    assert!(
        left(&usual)
            .unwrap()
            .starts_with("<?xpacket begin='\u{feff}' id='W5M0MpCehiHzreSzNTczkc9d'?><x:")
    );
    assert!(left(&wrap("mine")).unwrap().starts_with("<x:"));
}

#[test]
fn an_orientation_stays_unless_it_is_upright() {
    let tiff = |value: &str| {
        packet(
            &format!("xmlns:tiff=\"http://ns.adobe.com/tiff/1.0/\" tiff:Orientation=\"{value}\""),
            "",
        )
    };
    for turning in ["2", "6", "8"] {
        assert!(left(&tiff(turning)).is_some(), "{turning}");
    }
    for other in ["1", "0", "9", "", "66", "me"] {
        assert_eq!(left(&tiff(other)), None, "{other}");
    }
}

#[test]
fn a_packet_without_any_of_these_is_removed() {
    assert_eq!(left(&packet("xmlns:me=\"urn:me\" me:a=\"b\"", "<me:c>d</me:c>")), None);
    let motion = "<Container:Directory><rdf:Seq><rdf:li><Container:Item Item:Semantic=\"MotionPhoto\"/></rdf:li></rdf:Seq></Container:Directory>";
    assert_eq!(left(&packet(NAMES, motion)), None, "a directory without a gain map");
}

#[test]
fn invalid_values_are_removed() {
    for odd in ["by me", "me@example.org", "&#49;", &"1".repeat(65)] {
        let gain_map =
            format!("<hdrgm:Version>1.0</hdrgm:Version><hdrgm:Gamma>{odd}</hdrgm:Gamma>");
        let left = left(&packet(NAMES, &gain_map)).unwrap();
        assert!(left.contains("<hdrgm:Gamma></hdrgm:Gamma>"), "{left}");
    }
}

#[test]
fn names_are_distinguished_by_namespace() {
    let other = "xmlns:hdrgm=\"http://me.example/\" hdrgm:Version=\"1.0\"";
    assert_eq!(left(&packet(other, "")), None);
    let own = "xmlns:g=\"http://ns.adobe.com/hdr-gain-map/1.0/\" g:Version=\"1.0\"";
    assert_eq!(left(&packet(own, "")), Some(bare(own, "")));
}

#[test]
fn anything_but_plain_xml_is_removed() {
    let whole = packet(NAMES, "<hdrgm:Version>1.0</hdrgm:Version>");
    assert!(left(&whole).is_some());
    for cut in 0..whole.len() {
        assert_eq!(left(&whole[..cut]), None, "{cut}");
    }
    assert_eq!(left(&whole.replace("<rdf:RDF", "<![CDATA[x]]><rdf:RDF")), None);
    assert_eq!(left(&format!("<!DOCTYPE x>{whole}")), None);
    assert_eq!(left(&format!("{}{whole}{}", "<a>".repeat(100), "</a>".repeat(100))), None);
}
