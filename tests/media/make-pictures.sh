#!/usr/bin/env bash
# Makes the small files of `pictures/`, which the tests of `src/media/thumbnail` read. Run it again after adding one; the
# files are committed, so that tests need no tools.
# Needs cjpeg (libjpeg-turbo-progs), cwebp (webp), python3 with Pillow 12.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p pictures
cd pictures
rm -f -- *

# Four fields: red, green; blue, white. Not a whole number of blocks.
python3 - <<'PY'
from PIL import Image, ImageDraw
image = Image.new("RGB", (75, 53), "red")
draw = ImageDraw.Draw(image)
draw.rectangle((37, 0, 75, 26), fill=(0, 255, 0))
draw.rectangle((0, 27, 36, 53), fill=(0, 0, 255))
draw.rectangle((37, 27, 75, 53), fill="white")
image.save("/tmp/fields.ppm")
image.save("/tmp/fields.png")
PY

# One scan for each component.
printf '0;\n1;\n2;\n' >/tmp/apart.txt
# How often brightness and colours are sampled: from the usual ones to those that nobody writes on purpose.
for sampling in 1x1,1x1,1x1 2x1,1x1,1x1 1x2,1x1,1x1 2x2,1x1,1x1 4x1,1x1,1x1 4x2,1x1,1x1 1x1,2x2,2x2 2x2,2x1,1x2 3x1,1x1,1x1; do
    name=${sampling//,/-}
    encode=(cjpeg -quality 90 -sample "$sampling")
    "${encode[@]}" /tmp/fields.ppm >"together-$name.jpg"
    "${encode[@]}" -restart 1 /tmp/fields.ppm >"restarts-$name.jpg"
    "${encode[@]}" -scans /tmp/apart.txt /tmp/fields.ppm >"apart-$name.jpg"
    "${encode[@]}" -progressive /tmp/fields.ppm >"progressive-$name.jpg"
done

# Noise and slopes, for which lossless WebP uses all it has: with much effort and with little, with a palette, and with
# alpha, which in a lossy file has a filter.
python3 - <<'PY'
import random
from PIL import Image
random.seed(1)
def picture(mode, pixel):
    image = Image.new(mode, (61, 47))
    image.putdata([pixel(at % 61, at // 61) for at in range(61 * 47)])
    return image
noise = lambda most: random.randrange(most)
picture("RGB", lambda x, y: (x * 4, y * 5, (x * y + noise(9)) % 256)).save("/tmp/slopes.png")
picture("RGBA", lambda x, y: (x * 4, noise(256), 99, min(255, x * 5))).save("/tmp/clear.png")
picture("RGB", lambda x, y: [(9, 9, 9), (200, 30, 0), (0, 200, 90), (0, 0, 255)][(x // 7 + y // 5 + noise(2)) % 4]).save("/tmp/few.png")
PY
for effort in 0 6 9; do
    cwebp -quiet -z "$effort" /tmp/slopes.png -o "slopes-$effort.webp"
    cwebp -quiet -z "$effort" -exact /tmp/clear.png -o "clear-$effort.webp"
    cwebp -quiet -z "$effort" /tmp/few.png -o "few-$effort.webp"
done
for filter in none fast best; do
    cwebp -quiet -q 60 -alpha_filter "$filter" -exact /tmp/clear.png -o "alpha-$filter.webp"
done
cwebp -quiet -q 60 -alpha_method 0 -alpha_filter best -exact /tmp/clear.png -o alpha-raw.webp

# Fields with noise, so that half of the file is about half of its rows.
python3 - <<'PY'
import random
from PIL import Image
random.seed(1)
fields = [[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (255, 255, 255)]]
image = Image.new("RGB", (320, 320))
image.putdata([
    tuple(max(random.randrange(32), value - random.randrange(32)) for value in fields[at // 320 // 160][at % 320 // 160])
    for at in range(320 * 320)
])
image.save("/tmp/noisy.png")
PY
cwebp -quiet -q 70 -m 0 /tmp/noisy.png -o noisy.webp

rm /tmp/noisy.png /tmp/fields.ppm /tmp/fields.png /tmp/apart.txt /tmp/slopes.png /tmp/clear.png /tmp/few.png

du -cb -- * | sort -n
