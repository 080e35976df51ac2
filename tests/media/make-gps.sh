#!/bin/sh
# Makes tests/media/gps/: small files that say where, when, by whom and with what they were made.
#
# Needs, of Debian 12: ffmpeg, libimage-exiftool-perl, libheif-examples, webp, libjpeg-turbo-progs, perl.
# Run anywhere: tests/media/make-gps.sh. Everything planted is spelt with PLANTED, so that a test can look for it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir gps

quiet="-hide_banner -nostdin -v error -y"
exif="exiftool -q -overwrite_original -m"
at="-GPSLatitude=52.520008 -GPSLatitudeRef=N -GPSLongitude=13.404954 -GPSLongitudeRef=E -GPSAltitude=34 -GPSProcessingMethod=PLANTED"
by="-Make=PLANTED-make -Model=PLANTED-model -Software=PLANTED-software -Artist=PLANTED-artist -Copyright=PLANTED-rights
    -ExifIFD:SerialNumber=PLANTED-serial -ExifIFD:OwnerName=PLANTED-owner -ExifIFD:DateTimeOriginal=2021:02:03_04:05:06
    -ExifIFD:UserComment=PLANTED-comment -LensSerialNumber=PLANTED-lens"
turned="-IFD0:Orientation#=6"
xmp="-XMP-exif:GPSLatitude=52.520008 -XMP-exif:GPSLongitude=13.404954 -XMP-dc:Creator=PLANTED-creator -XMP-dc:Description=PLANTED-xmp
     -XMP-aux:SerialNumber=PLANTED-serial -XMP-xmp:CreatorTool=PLANTED-tool"
iptc="-IPTC:City=PLANTED-city -IPTC:By-line=PLANTED-byline -IPTC:Caption-Abstract=PLANTED-caption"

# A colour profile of our own: the smallest that exiftool and browsers take for one.
perl -e '
    sub tag { my ($kind, $body) = @_; $body = pack("a4 N", $kind, 0) . $body; $body . "\0" x (-length($body) % 4) }
    sub xyz { tag("XYZ ", pack("N3", map { int($_ * 65536 + .5) } @_)) }
    my @tags = (
        [desc => tag("desc", pack("N a5 x78", 5, "test"))], [cprt => tag("text", "none\0")], [wtpt => xyz(.9642, 1, .8249)],
        [rXYZ => xyz(.4361, .2225, .0139)], [gXYZ => xyz(.3851, .7169, .0971)], [bXYZ => xyz(.1431, .0606, .7141)],
        map { [$_ => tag("curv", pack("N n", 1, 0x233))] } qw(rTRC gTRC bTRC),
    );
    my ($list, $data) = (pack("N", scalar @tags), "");
    for (@tags) { $list .= pack("a4 N N", $_->[0], 132 + 12 * @tags + length $data, length $_->[1]); $data .= $_->[1] }
    my $size = 128 + length($list) + length($data);
    print pack("N x4 N a4 a4 a4 n6 a4 x28 N3 x48", $size, 0x02100000, "mntr", "RGB ", "XYZ ", 2020, 1, 1, 0, 0, 0, "acsp",
        63190, 65536, 54061), $list, $data;
' > profile.icc

# Pictures
ffmpeg $quiet -f lavfi -i testsrc2=s=96x64 -frames:v 1 -pix_fmt yuvj420p plain.jpg
ffmpeg $quiet -f lavfi -i testsrc2=s=48x32 -frames:v 1 -pix_fmt yuvj420p thumb.jpg
ffmpeg $quiet -f lavfi -i testsrc2=s=96x64 -frames:v 1 -pix_fmt rgb24 plain.png
ffmpeg $quiet -f lavfi -i testsrc2=s=48x32:r=5 -frames:v 3 -plays 0 -f apng plain.apng

cp plain.jpg gps/exif.jpg
$exif $at $by $turned '-ThumbnailImage<=thumb.jpg' '-ICC_Profile<=profile.icc' gps/exif.jpg

jpegtran -progressive plain.jpg > gps/progressive.jpg
$exif $at $by $turned $xmp gps/progressive.jpg

# XMP, IPTC, a comment, segments of other makers; then a second picture that says where it was made too, by a
# multi-picture index, and a trailer as Samsung writes it.
cp plain.jpg first.jpg
$exif $at $by $turned $xmp $iptc -Comment=PLANTED-com '-ICC_Profile<=profile.icc' first.jpg
cp thumb.jpg second.jpg
$exif $at $by $xmp second.jpg
perl -e '
    local $/; sub read_file { open my $in, "<:raw", shift or die; <$in> } my ($first, $second) = map { read_file($_) } @ARGV;
    sub segment { my ($marker, $body) = @_; pack("C C n a*", 0xFF, $marker, 2 + length $body, $body) }
    my $others = segment(0xEC, "PLANTED-app12") . segment(0xEB, "JP\0\1\0\0\0\1\0\0\0\x1CjumbPLANTED-c2pa") . segment(0xE5, "RMETA\0PLANTED-app5");
    # Two pictures: lengths, and where the second lies, counted from the index.
    my $index = sub { my ($at, $length) = @_;
        segment(0xE2, "MPF\0" . "MM\0*\0\0\0\x08" . pack("n", 3)
            . pack("n n N a4", 0xB000, 7, 4, "0100") . pack("n n N N", 0xB001, 4, 1, 2) . pack("n n N N", 0xB002, 7, 32, 50) . pack("N", 0)
            . pack("N N N n n", 0x20030000, $length, 0, 0, 0) . pack("N N N n n", 0, length $second, $at, 0, 0)) };
    my $length = length($first) + length($others) + length($index->(0, 0));
    my $at = $length - (2 + length($others) + 8);
    my $trailer = pack("v v V a14 a*", 0, 0x0a01, 14, "Image_UTC_Data", "PLANTED-1612325106000");
    my $directory = pack("a4 V V v v V V", "SEFH", 106, 1, 0, 0x0a01, length $trailer, length $trailer);
    print substr($first, 0, 2), $others, $index->($at, $length), substr($first, 2), $second, $trailer, $directory,
        pack("V a4", length $directory, "SEFT");
' first.jpg second.jpg > gps/everything.jpg

cp plain.png gps/exif.png
$exif $at $by $turned '-ICC_Profile<=profile.icc' gps/exif.png
cp plain.png gps/text.png
$exif $at $by $turned $xmp -z -PNG:Comment=PLANTED-comment -PNG:Author=PLANTED-author -PNG:ModifyDate=2021:02:03_04:05:06 gps/text.png
cp plain.apng gps/animated.png
$exif $at $by $turned $xmp -PNG:Comment=PLANTED-comment gps/animated.png
# exiftool writes between a frame's header and its data, where ffmpeg takes nothing: the header comes last.
perl -0777 -pi -e 's/(\0\0\0\x1AfcTL.{30})(.*?)(....IDAT)/$2$1$3/s' gps/animated.png

cwebp -quiet plain.png -o gps/lossy.webp
cwebp -quiet -lossless plain.png -o gps/lossless.webp
ffmpeg $quiet -f lavfi -i testsrc2=s=48x32:r=5 -frames:v 3 -loop 0 gps/animated.webp
webpmux -set icc profile.icc gps/lossy.webp -o gps/lossy.webp
for file in gps/*.webp; do
    $exif $at $by $turned $xmp "$file"
done

ffmpeg $quiet -f lavfi -i testsrc2=s=64x64 -frames:v 1 -pix_fmt yuvj420p square.jpg
$exif $at $by $turned $xmp '-ICC_Profile<=profile.icc' square.jpg
heif-enc square.jpg -o gps/exif.heic > /dev/null
heif-enc -A square.jpg -o gps/exif.avif > /dev/null

# Clips
told="-metadata location=+52.5200+013.4050/ -metadata title=PLANTED-title -metadata artist=PLANTED-artist
      -metadata comment=PLANTED-comment -metadata creation_time=2021-02-03T04:05:06Z"
picture="-f lavfi -i testsrc2=s=64x48:r=10:d=0.6"
sound="-f lavfi -i sine=d=0.6"
ffmpeg $quiet $picture $sound $told -c:v libx264 -pix_fmt yuv420p -c:a aac -b:a 24k -movflags faststart gps/clip.mp4
$exif $xmp -UserData:GPSCoordinates='52.52,13.405,34' -UserData:Make=PLANTED-make -UserData:Model=PLANTED-model gps/clip.mp4

# Apple's keys, and a telemetry track as action cameras write it, its samples between those of the picture.
perl -e 'printf "GPS5 PLANTED-sample %04d 52.520008 13.404954\n", $_ for 1 .. 20' > telemetry
ffmpeg $quiet $picture -f data -i telemetry -map 0 -map 1 $told -c:v libx264 -pix_fmt yuv420p -c:d copy -tag:d gpmd \
    -metadata com.apple.quicktime.make=PLANTED-make -metadata com.apple.quicktime.model=PLANTED-model \
    -metadata com.apple.quicktime.software=PLANTED-software -metadata com.apple.quicktime.location.ISO6709=+52.5200+013.4050+034/ \
    -metadata com.apple.quicktime.creationdate=2021-02-03T04:05:06+0100 -movflags use_metadata_tags gps/clip.mov
$exif $xmp -Keys:GPSCoordinates='52.52,13.405,34' -UserData:GPSCoordinates='52.52,13.405,34' gps/clip.mov

ffmpeg $quiet $picture $sound $told -c:v libx264 -pix_fmt yuv420p -c:a aac -b:a 24k -movflags frag_keyframe+empty_moov gps/fragmented.mp4
ffmpeg $quiet $picture $sound $told -c:v mpeg4 -c:a aac -b:a 24k -f 3gp gps/clip.3gp
ffmpeg $quiet $sound $told -c:a aac -b:a 24k gps/sound.m4a
$exif -ItemList:GPSCoordinates='52.52,13.405,34' gps/sound.m4a

# A motion photo: a clip right behind the picture.
cp plain.jpg motion.jpg
$exif $at $by $turned -XMP-GCamera:MicroVideo=1 "-XMP-GCamera:MicroVideoOffset=$(wc -c < gps/clip.mp4)" motion.jpg
cat motion.jpg gps/clip.mp4 > gps/motion.jpg

rm -rf "$here/gps"
mv gps "$here"
