#!/usr/bin/env bash
# Makes the small files of `durations/`, which the tests of `src/media/probe` read. Run it again after adding one;
# the files are committed, so that tests need no tools.
# Needs ffmpeg, exiftool, heif-enc (libheif-examples with x265 and aom) and cwebp, all as Debian 12 has them; and python3
# with Pillow 12.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p durations
cd durations
rm -f -- *

make() { ffmpeg -nostdin -hide_banner -loglevel error -y "$@" </dev/null; }
# Small, quiet content: a sliding pattern and a tone, each for some seconds.
picture() { echo "testsrc=size=${2:-64x48}:rate=5:duration=$1"; }
tone() { echo "sine=frequency=440:sample_rate=${2:-48000}:duration=$1"; }
lean=(-fflags +bitexact -flags:v +bitexact -flags:a +bitexact -map_metadata -1)
h264=(-c:v libx264 -preset veryslow -crf 45 -pix_fmt yuv420p -x264-params keyint=5:threads=1)
vp9=(-c:v libvpx-vp9 -b:v 10k -g 5 -pix_fmt yuv420p -threads 1)
aac=(-c:a aac -b:a 16k -ac 1)
opus=(-c:a libopus -b:a 8k -ac 1)

# MP4, QuickTime and their kin.
av=(-f lavfi -i "$(picture 3)" -f lavfi -i "$(tone 3)")
make "${av[@]}" "${lean[@]}" "${h264[@]}" "${aac[@]}" index-last.mp4
make "${av[@]}" "${lean[@]}" "${h264[@]}" "${aac[@]}" -movflags +faststart index-first.mp4
make "${av[@]}" "${lean[@]}" "${h264[@]}" "${aac[@]}" -movflags +frag_keyframe+empty_moov fragmented.mp4
# Fragments as browsers' players get them: an index (`sidx`) and times that count on (`tfdt`).
make "${av[@]}" "${lean[@]}" "${h264[@]}" "${aac[@]}" -movflags +frag_keyframe+empty_moov+default_base_moof+dash+global_sidx \
    fragmented-sidx.mp4
make -f lavfi -i "$(tone 4)" "${lean[@]}" "${aac[@]}" -movflags +empty_moov -frag_duration 1000000 fragmented-sound.mp4
make "${av[@]}" "${lean[@]}" "${h264[@]}" "${aac[@]}" upright.mov
make -i upright.mov -map 0 -c copy -map_metadata -1 -metadata:s:v rotate=90 rotated.mov
make -f lavfi -i "$(tone 2)" "${lean[@]}" "${aac[@]}" sound.mov
make -f lavfi -i "$(tone 2)" "${lean[@]}" "${aac[@]}" sound.m4a
make -f lavfi -i "$(tone 2)" "${lean[@]}" "${aac[@]}" -f mp4 sound.mp4
# A cover as a track of one picture.
make -f lavfi -i "$(tone 2)" -f lavfi -i "color=red:size=32x32:duration=0.1:rate=10" "${lean[@]}" "${aac[@]}" \
    -map 0:a -map 1:v -c:v mjpeg -frames:v 1 -disposition:v:0 0 cover-track.mp4
make -f lavfi -i "$(picture 2 176x144)" -f lavfi -i "$(tone 2 8000)" "${lean[@]}" -c:v h263 -b:v 10k "${aac[@]}" film.3gp
make -f lavfi -i "$(tone 2 8000)" "${lean[@]}" "${aac[@]}" sound.3gp
# Pixels that aren't square: 64x48 stored, 128x48 shown.
make -f lavfi -i "$(picture 1)" "${lean[@]}" "${h264[@]}" -vf setsar=2 wide-pixels.mp4

# Matroska and WebM.
make "${av[@]}" "${lean[@]}" "${vp9[@]}" "${opus[@]}" film.webm
make -f lavfi -i "$(tone 3)" "${lean[@]}" "${opus[@]}" sound.webm
# As browsers record: a segment and clusters of unknown size, neither duration nor cues.
make "${av[@]}" "${lean[@]}" "${vp9[@]}" "${opus[@]}" -f webm -live 1 -cluster_time_limit 1000 - | cat >recorded.webm
make -f lavfi -i "$(tone 5)" "${lean[@]}" "${opus[@]}" -f webm -live 1 -cluster_time_limit 10000 - | cat >recorded-sound.webm
make "${av[@]}" "${lean[@]}" "${vp9[@]}" "${opus[@]}" -cluster_time_limit 1000 -f webm - | cat >piped.webm
make "${av[@]}" "${lean[@]}" "${h264[@]}" "${aac[@]}" film.mkv
make -f lavfi -i "$(tone 2)" "${lean[@]}" "${aac[@]}" sound.mka
make -f lavfi -i "$(picture 1)" "${lean[@]}" "${vp9[@]}" -vf setsar=2 wide-pixels.webm

# MP3.
mp3=(-c:a libmp3lame -ac 1 -ar 22050)
make -f lavfi -i "$(tone 3 22050)" "${lean[@]}" "${mp3[@]}" -b:a 16k -write_xing 0 -id3v2_version 0 constant.mp3
make -f lavfi -i "$(tone 3 22050)" "${lean[@]}" "${mp3[@]}" -q:a 9 -id3v2_version 0 varying-xing.mp3
# A second of noise among silence makes rates vary, so that no frame's rate tells the length.
make -f lavfi -i "aevalsrc=if(lt(mod(t\,3)\,1)\,random(0)-0.5\,0):sample_rate=22050:duration=6" "${lean[@]}" "${mp3[@]}" \
    -q:a 9 -write_xing 0 -id3v2_version 3 -metadata title=noise varying-bare.mp3
make -f lavfi -i "$(tone 3 22050)" -f lavfi -i "testsrc=size=160x120:duration=0.1:rate=10" "${lean[@]}" "${mp3[@]}" -b:a 16k \
    -map 0:a -map 1:v -c:v png -frames:v 1 -id3v2_version 3 -write_id3v1 1 -metadata title=cover cover.mp3

# Ogg.
make -f lavfi -i "$(tone 3 22050)" "${lean[@]}" -c:a libvorbis -q:a 0 vorbis.ogg
make -f lavfi -i "$(tone 3)" "${lean[@]}" "${opus[@]}" opus.ogg
make -f lavfi -i "$(tone 2 8000)" "${lean[@]}" -c:a flac -f ogg flac.ogg
make -f lavfi -i "$(tone 3 8000)" "${lean[@]}" -c:a libspeex -ac 1 -b:a 4k speex.ogg
make -f lavfi -i "$(picture 3)" -f lavfi -i "$(tone 3 22050)" "${lean[@]}" -c:v libtheora -q:v 0 -c:a libvorbis -q:a 0 theora.ogv

# Bare sound.
make -f lavfi -i "$(tone 2 4000)" "${lean[@]}" -c:a pcm_u8 pcm.wav
make -f lavfi -i "$(tone 2 4000)" "${lean[@]}" -c:a pcm_u8 -f wav - | cat >piped.wav
make -f lavfi -i "$(tone 2 8000)" "${lean[@]}" -c:a flac plain.flac
make -f lavfi -i "$(tone 2 8000)" "${lean[@]}" -c:a flac -f flac - | cat >piped.flac
make -f lavfi -i "$(tone 3)" "${lean[@]}" "${aac[@]}" -f adts bare.aac

make -f lavfi -i "$(tone 2 8000)" "${lean[@]}" -c:a pcm_u8 pcm.aiff
make -f lavfi -i "$(tone 2 8000)" "${lean[@]}" -c:a adpcm_ima_qt -f aiff packed.aifc
# Debian's ffmpeg has no encoder of AMR: silence, in the smallest frames.
perl -e 'print "#!AMR\n", ("\x04" . "\0" x 12) x 150' >narrow.amr
perl -e 'print "#!AMR-WB\n", ("\x04" . "\0" x 17) x 150' >wide.amr
# Notes at 120, then at 60 quarters a minute: 2 s and 2 s.
perl -e 'print "MThd\0\0\0\x06\0\x01\0\x02\0\x60",
    "MTrk\0\0\0\x13\0\xFF\x51\3\7\xA1\x20\x83\0\xFF\x51\3\x0F\x42\x40\0\xFF\x2F\0",
    "MTrk\0\0\0\x0D\0\x90\x40\x40\x84\x40\x80\x40\0\0\xFF\x2F\0"' >notes.mid

# MPEG's streams, and older containers.
mpeg2=(-c:v mpeg2video -b:v 10k -r 25)
mp2=(-c:a mp2 -b:a 32k -ar 22050 -ac 1)
make "${av[@]}" "${lean[@]}" "${h264[@]}" "${aac[@]}" film.ts
make "${av[@]}" "${lean[@]}" "${h264[@]}" "${aac[@]}" -mpegts_m2ts_mode 1 film.m2ts
make "${av[@]}" "${lean[@]}" -c:v libx265 -x265-params log-level=none:pools=1 -crf 45 -pix_fmt yuv420p "${aac[@]}" hevc.ts
make -f lavfi -i "$(picture 1)" "${lean[@]}" "${h264[@]}" -vf setsar=2 wide-pixels.ts
make -f lavfi -i "$(tone 2)" "${lean[@]}" "${aac[@]}" sound.ts
make "${av[@]}" "${lean[@]}" "${mpeg2[@]}" -aspect 16:9 "${mp2[@]}" wide.ts
make "${av[@]}" "${lean[@]}" -c:v mpeg1video -b:v 10k -r 25 "${mp2[@]}" film.mpg
make "${av[@]}" "${lean[@]}" "${mpeg2[@]}" "${mp2[@]}" -f vob film.vob
make "${av[@]}" "${lean[@]}" -c:v mpeg4 -b:v 10k "${mp3[@]}" -b:a 16k film.avi
make "${av[@]}" "${lean[@]}" -c:v wmv2 -b:v 10k -c:a wmav2 -b:a 32k -ac 1 -ar 22050 film.wmv
make -f lavfi -i "$(tone 2)" "${lean[@]}" -c:a wmav2 -b:a 32k -ac 1 -ar 22050 sound.wma
make "${av[@]}" "${lean[@]}" "${h264[@]}" "${aac[@]}" film.flv
# As a stream is recorded: without metadata, and without an end that anything says.
make "${av[@]}" "${lean[@]}" "${h264[@]}" "${aac[@]}" -flvflags no_metadata -f flv - | cat >live.flv

# Pictures, 60 x 40; those turned show 40 x 60.
image=(-f lavfi -i "testsrc=size=60x40:duration=0.1:rate=10" -frames:v 1 -map_metadata -1)
make "${image[@]}" -flags:v +bitexact -q:v 20 plain.jpg
make "${image[@]}" plain.png
make -f lavfi -i "testsrc=size=60x40:duration=1:rate=2" -fflags +bitexact plain.gif
make "${image[@]}" plain.bmp
cwebp -quiet plain.png -o lossy.webp
cwebp -quiet -lossless plain.png -o lossless.webp
make -f lavfi -i "testsrc=size=60x40:duration=1:rate=2" -fflags +bitexact -c:v libwebp_anim -loop 0 animated.webp
heif-enc -q 30 -o plain.heic plain.png >/dev/null
heif-enc -q 30 -A -o plain.avif plain.png >/dev/null
for turned in jpg png; do
    cp plain.$turned turned.$turned
    exiftool -q -overwrite_original -n -Orientation=6 turned.$turned
done
cp lossy.webp turned.webp
exiftool -q -overwrite_original -n -Orientation=6 turned.webp
# heif-enc can't turn a picture: a property of the same size that does (`irot`) replaces one that says its depth.
for turned in heic avif; do
    perl -0777 -pe 's/\0\0\0\x10pixi\0{4}\x03\x08\x08\x08/\0\0\0\x10irot\x01\0\0\0\0\0\0\0/' plain.$turned >turned.$turned
done
# EXIF's orientation doesn't turn these: HEIF says so.
heif-enc -q 30 -o exif-turned.heic turned.jpg >/dev/null

python3 - <<'PY'
from PIL import Image
image = Image.open("plain.png").convert("RGB")
image.save("plain.tif", compression="tiff_adobe_deflate")
image.save("turned.tif", compression="tiff_adobe_deflate", tiffinfo={274: 6})
# A preview first, as cameras and scanners write it.
image.encoderinfo = {"tiffinfo": {254: 0}}
image.resize((30, 20)).save("preview.tif", tiffinfo={254: 1}, save_all=True, append_images=[image])
image.save("plain.jp2")
image.resize((256, 256)).save("plain.ico", sizes=[(16, 16), (48, 48), (256, 256)])
PY

du -cb -- * | sort -n
