#!/bin/sh
# Makes tests/media/kept/: small files of which some metadata has to stay, or they look or sound different.
#
# Needs, of Debian 12: ffmpeg, libimage-exiftool-perl, perl. Run anywhere: tests/media/make-kept.sh. Everything planted
# is spelt with PLANTED, so that a test can look for it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir kept

quiet="-hide_banner -nostdin -v error -y"
exif="exiftool -q -overwrite_original -m"

ffmpeg $quiet -f lavfi -i testsrc2=s=96x64 -frames:v 1 -pix_fmt yuvj420p plain.jpg
ffmpeg $quiet -f lavfi -i testsrc=s=24x16 -frames:v 1 -pix_fmt gray map.jpg
ffmpeg $quiet -f lavfi -i testsrc2=s=96x64 -frames:v 1 -pix_fmt rgb24 plain.png
ffmpeg $quiet -f lavfi -i testsrc2=s=96x64 -frames:v 1 -c:v libwebp plain.webp

# What turns a picture where EXIF doesn't say so.
xmp="-XMP-tiff:Orientation#=6 -XMP-dc:Creator=PLANTED-creator -XMP-xmp:CreatorTool=PLANTED-tool"
for kind in jpg png webp; do
    cp plain.$kind kept/xmp-orientation.$kind
    $exif $xmp -IFD0:Make=PLANTED-make kept/xmp-orientation.$kind
done

# A picture and its gain map, as phones write them: a directory in XMP, the map right behind, its numbers in XMP.
perl -e '
    local $/; sub read_file { open my $in, "<:raw", shift or die; <$in> } my ($first, $map) = map { read_file($_) } @ARGV;
    sub xmp { my ($names, $values, $elements) = @_;
        my $body = qq(http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="PLANTED-tool"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" $names hdrgm:Version="1.0" $values><dc:creator><rdf:Seq><rdf:li>PLANTED-creator</rdf:li></rdf:Seq></dc:creator>$elements</rdf:Description></rdf:RDF></x:xmpmeta>);
        pack("C C n a*", 0xFF, 0xE1, 2 + length $body, $body) }
    my $numbers = join " ", map { qq(hdrgm:$_) } "GainMapMin=\"0\"", "GainMapMax=\"1.5\"", "Gamma=\"1\"", "OffsetSDR=\"0.015625\"",
        "OffsetHDR=\"0.015625\"", "HDRCapacityMin=\"0\"", "HDRCapacityMax=\"1.5\"", "BaseRenditionIsHDR=\"False\"";
    $map = substr($map, 0, 2) . xmp("", $numbers, "") . substr($map, 2);
    my $directory = "<Container:Directory><rdf:Seq><rdf:li rdf:parseType=\"Resource\"><Container:Item Item:Semantic=\"Primary\" Item:Mime=\"image/jpeg\"/></rdf:li>"
        . "<rdf:li rdf:parseType=\"Resource\"><Container:Item Item:Semantic=\"GainMap\" Item:Mime=\"image/jpeg\" Item:Length=\"" . length($map) . "\"/></rdf:li></rdf:Seq></Container:Directory>";
    my $names = "xmlns:Container=\"http://ns.google.com/photos/1.0/container/\" xmlns:Item=\"http://ns.google.com/photos/1.0/container/item/\"";
    print substr($first, 0, 2), xmp($names, "", $directory), substr($first, 2), $map;
' plain.jpg map.jpg > kept/gain-map.jpg

# Sound whose gaps only iTunes data tells: no edit list.
ffmpeg $quiet -f lavfi -i sine=d=0.6 -c:a aac -b:a 24k -use_editlist 0 -fflags +bitexact sound.m4a
perl -0777 -ne '
    sub box { my ($kind, $body) = @_; pack("N a4 a*", 8 + length $body, $kind, $body) }
    sub data { my ($text) = @_; box("data", pack("N N a*", 1, 0, $text)) }
    my $gaps = box("----", box("mean", "\0\0\0\0com.apple.iTunes") . box("name", "\0\0\0\0iTunSMPB")
        . data(" 00000000 00000840 000001CA 0000000000006978" . " 00000000" x 8));
    my $list = box("ilst", box("\xA9nam", data("PLANTED-title")) . box("apID", data("PLANTED-account")) . $gaps);
    my $handler = box("hdlr", pack("x8 a4 a4 x9", "mdir", "appl"));
    my $new = box("udta", box("meta", "\0\0\0\0" . $handler . $list));
    my $at = rindex($_, "moov") - 4;
    my $movie = substr($_, $at);
    die "the index comes last" if unpack("N", $movie) != length $movie;
    $movie =~ s/....udta.*//s; # the encoder
    print substr($_, 0, $at), box("moov", substr($movie, 8) . $new);
' sound.m4a > kept/gaps.m4a

rm -rf "$here/kept"
mv kept "$here"
