"""Whether files decode to the same pictures and sound before and after their metadata was removed.

Usage: compare.py BEFORE AFTER: two folders with files of the same names. Prints what differs, and fails if anything
does, or if exiftool finds fault with a file only afterwards. A file that a decoder refuses before must be refused
after; one that no decoder reads is a mistake.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import av
import pillow_heif
from PIL import Image, ImageOps

ORIENTATION = 0x0112


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def pillow(path: Path) -> list:
    """Every frame as shown, upright."""
    with Image.open(path) as image:
        frames = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            shown = ImageOps.exif_transpose(image).convert("RGBA")
            frames.append((image.size, shown.size, image.info.get("duration"), digest(shown.tobytes())))
        return [image.format, digest(image.info.get("icc_profile") or b""), *frames]


def libheif(path: Path) -> list:
    """Every picture, those that belong to others among them."""
    pictures = pillow_heif.open_heif(path, convert_hdr_to_8bit=False)
    found = []
    for picture in pictures:
        auxiliary = picture.info.get("aux") or {}
        maps = [digest(bytes(picture.get_aux_image(id).data)) for ids in auxiliary.values() for id in ids]
        exif = Image.Exif()
        exif.load(picture.info.get("exif") or b"")
        found.append((picture.size, picture.mode, exif.get(ORIENTATION, 1), digest(bytes(picture.data)), maps))
    return found


def ffmpeg_of_pyav(path: Path) -> list:
    """Every frame of every stream of pictures and sound, with its time."""
    found = []
    with av.open(str(path)) as container:
        kinds = [(stream.index, stream.type) for stream in container.streams if stream.type in ("video", "audio")]
    for index, kind in kinds:
        with av.open(str(path)) as container:
            for frame in container.decode(container.streams[index]):
                if kind == "video":
                    shown = (frame.format.name, frame.width, frame.height, frame.rotation)
                    found.append((frame.pts, shown, digest(pixels(frame))))
                else:
                    found.append((frame.pts, frame.sample_rate, frame.samples, digest(samples(frame))))
    return found


def pixels(frame) -> bytes:
    """As they were decoded, without what fills up the lines: conversions read that too."""
    lines = []
    for number, plane in enumerate(frame.planes):
        components = [component for component in frame.format.components if component.plane == number]
        length = plane.width * sum((component.bits + 7) // 8 for component in components) or plane.line_size
        data = bytes(plane)
        lines += [data[line * plane.line_size :][:length] for line in range(plane.height)]
    return b"".join(lines)


def samples(frame) -> bytes:
    """Without what fills up the planes."""
    planes = frame.planes
    length = frame.samples * frame.format.bytes * (1 if frame.format.is_planar else frame.layout.nb_channels)
    return b"".join(bytes(plane)[:length] for plane in planes)


def ffmpeg_of_debian(path: Path) -> list:
    command = ["ffmpeg", "-v", "error", "-i", path, "-map", "0:v?", "-map", "0:a?", "-f", "framemd5", "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout.decode().splitlines()


def exiftool(folder: Path) -> dict[str, tuple[dict, set]]:
    """What it says of each file: how large and long it is, and what is wrong with it."""
    facts = ["ImageSize", "Duration", "Rotation"]
    command = ["exiftool", "-json", "-a", "-n", *[f"-{tag}" for tag in [*facts, "Error", "Warning"]], folder]
    found = {}
    for tags in json.loads(subprocess.run(command, capture_output=True).stdout):
        complaints = {str(said) for tag, said in tags.items() if tag not in ["SourceFile", *facts]}
        found[Path(tags["SourceFile"]).name] = ({fact: tags.get(fact) for fact in facts}, complaints)
    return found


def decoded(decoder, path: Path):
    try:
        return decoder(path)
    except Exception:  # whatever a decoder has against a file
        return None


def main(before: Path, after: Path) -> int:
    wrong = 0
    names = sorted(path.name for path in before.iterdir())
    for name in names:
        readers = []
        for decoder in (pillow, libheif, ffmpeg_of_pyav, ffmpeg_of_debian):
            first, second = decoded(decoder, before / name), decoded(decoder, after / name)
            if first != second:
                print(f"{name}: {decoder.__name__} reads\n  {first}\nand after cleaning\n  {second}")
                wrong += 1
            elif first is not None:
                readers.append(decoder.__name__)
        if not readers:
            print(f"{name}: no decoder reads it")
            wrong += 1
        print(f"{name}: {', '.join(readers)}")
    said_before, said_after = exiftool(before), exiftool(after)
    for name in names:
        (first, known), (second, complaints) = said_before[name], said_after[name]
        if first != second or complaints - known:
            print(f"{name}: exiftool says\n  {first}\nand after cleaning\n  {second}, {complaints - known}")
            wrong += 1
    print(f"{len(names)} files")
    if not names:
        print("no files")
        wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
