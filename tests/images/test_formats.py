"""Files that Pillow does not read as they are: HEIC, raw files of cameras, PNGs with too much beside their pixels."""

import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from stages.images.reading import MID_GREY, load
from tests.images import heic
from tests.images.test_reading import LIMIT, RED, assert_close, bad, exif, png, saved, scene


@pytest.mark.parametrize("content", [heic.UPRIGHT, heic.TURNED, heic.TEN_BITS], ids=["plain", "turned", "10 bits"])
@pytest.mark.parametrize("name", ["IMG_0001.HEIC", "photo.jpg"])
def test_heic_is_read(content, name, tmp_path):
    """A photograph from an iPhone is read whatever its name, upright, and with 10 bits a channel as well."""
    (tmp_path / name).write_bytes(content)
    assert_close(load(tmp_path / name, LIMIT), scene(64, 96), 4)


def test_heic_keeps_the_pixel_limit(tmp_path):
    """The limit holds for every format."""
    (tmp_path / "a.heic").write_bytes(heic.UPRIGHT)
    assert (
        bad(tmp_path / "a.heic", 96 * 64 - 1) == "96 x 64 pixels are more than the limit of 6143 (prepare.pixel_limit)"
    )


@pytest.mark.parametrize("part", [0.3, 0.7, 0.95])
def test_a_truncated_heic_is_bad(part, tmp_path):
    """Half an image is no image."""
    (tmp_path / "a.heic").write_bytes(heic.UPRIGHT[: int(len(heic.UPRIGHT) * part)])
    assert bad(tmp_path / "a.heic").startswith(("damaged: ", "a HEIC image"))


def test_heic_without_its_reader_names_the_remedy(tmp_path, monkeypatch):
    """Where pi-heif is missing the person learns what the file is and what to do."""
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    (tmp_path / "a.heic").write_bytes(heic.UPRIGHT)
    assert bad(tmp_path / "a.heic") == (
        "a HEIC image, as iPhones write them; install the package pi-heif, which reads it, or convert it to JPEG"
    )


def tiff(start, *tags):
    """Write a TIFF of one red pixel by hand, with some bytes before its list of tags, and with tags of numbers."""
    fields = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 2), (277, 3), (278, 1), (279, 3), *tags]
    place = 8 + len(start)
    pixels = place + 2 + 12 * (len(fields) + 1) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted([*fields, (273, pixels)]))
    return (
        struct.pack("<2sHI", b"II", 42, place)
        + start
        + struct.pack("<H", len(fields) + 1)
        + entries
        + bytes(4)
        + (bytes(RED))
    )


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.nef", tiff(b""), "NEF"),
        ("a.ARW", tiff(b""), "ARW"),
        ("a.tif", tiff(b"", (50706, 0x401)), "DNG"),
        ("a.tif", tiff(b"CR\2\0" + bytes(4)), "CR2"),
        ("a.tif", tiff(b"", (254, 1), (330, 8)), "TIFF of a preview and sensor data"),
        ("a.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(40), "CR3"),
        ("a.raf", b"FUJIFILMCCD-RAW 0201" + bytes(40), "RAF"),
        ("a", b"IIRO\x08\0\0\0" + bytes(40), "ORF"),
        ("a.rw2", b"IIU\0\x18\0\0\0" + bytes(40), "RW2"),
    ],
)
def test_raw_files_of_cameras_are_named(name, content, kind, tmp_path):
    """Their small preview is not taken for the image; the person reads which format it is and what to do."""
    (tmp_path / name).write_bytes(content)
    assert bad(tmp_path / name) == (
        f"a camera's raw file ({kind}), whose colours are not settled yet; convert it to JPEG or TIFF"
    )


def test_a_tiff_is_no_raw_file(tmp_path):
    """The same bytes without what marks a raw file are an image."""
    (tmp_path / "a.tif").write_bytes(tiff(b""))
    assert_close(load(tmp_path / "a.tif", LIMIT), np.array([[RED]]), 0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"%PDF-1.7" + bytes(40), "PDF cannot be read; convert it to JPEG or PNG"),
        (b"8BPS\0\1" + bytes(40), "Photoshop cannot be read; convert it to JPEG or PNG"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL cannot be read; convert it to JPEG or PNG"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(40), "a video; take it out, or save one of its images as JPEG"),
    ],
)
def test_formats_that_are_not_read_are_named(content, reason, tmp_path):
    """What lies between photographs: the film of a live photo, a document."""
    (tmp_path / "a").write_bytes(content)
    assert bad(tmp_path / "a") == reason


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chunks(path, *chunks, after=False):
    """Put chunks into the PNG at `path`, behind its header or before its end."""
    content = path.read_bytes()
    place = len(content) - 12 if after else 33
    path.write_bytes(content[:place] + b"".join(chunks) + content[place:])
    return path


LONG = zlib.compress(bytes(3 << 20))
BOMB = zlib.compress(bytes(200 << 20))
TOO_LONG = {
    "zTXt": chunk(b"zTXt", b"Comment\0\0" + LONG),
    "iTXt": chunk(b"iTXt", b"Comment\0\1\0\0\0" + LONG),
    "iCCP": chunk(b"iCCP", b"profile\0\0" + LONG),
    "many tEXt": chunk(b"tEXt", b"Comment\0" + bytes(900_000)) * 80,
    "text bomb": chunk(b"zTXt", b"Comment\0\0" + BOMB),
    "wrong sum": chunk(b"tEXt", b"Comment\0hello")[:-1] + b"!",
    "short pHYs": chunk(b"pHYs", b"\0"),
}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("chunks", TOO_LONG.values(), ids=TOO_LONG)
def test_metadata_is_no_reason_to_lose_a_image(chunks, after, tmp_path):
    """A PNG with too much text, or a broken one, has the pixels that it has without, and the same side is up."""
    path = saved(tmp_path / "a.png", np.rot90(scene(), 1).copy(), exif=exif(6))
    assert_close(load(with_chunks(path, chunks, after=after), LIMIT), scene(), 0)


def test_transparency_and_palette_stay_beside_long_texts(tmp_path):
    """What belongs to the pixels is no metadata."""
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, 0, 0, 255])
    image.putdata([0, 1])
    path = saved(tmp_path / "a.png", image, transparency=0)
    assert_close(load(with_chunks(path, TOO_LONG["zTXt"]), LIMIT), np.array([[MID_GREY, (0, 0, 255)]]), 0)


def test_a_side_that_a_short_text_says_is_up_stays_up_beside_a_long_one(tmp_path):
    """XMP, in a text of its own, may hold the orientation."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", '<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"/>')
    path = saved(tmp_path / "a.png", np.rot90(scene(), 1).copy(), pnginfo=info)
    assert_close(load(path, LIMIT), scene(), 0)
    assert_close(load(with_chunks(path, TOO_LONG["iCCP"]), LIMIT), scene(), 0)


def test_bombs_and_damage_stay_refused_beside_long_texts(tmp_path):
    """Reading a PNG without its texts forgives nothing else."""
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png(60_000, 60_000, 8, 2, bytes(1000), TOO_LONG["zTXt"]))
    assert bad(bomb, 100_000_000) == "more pixels than the limit of 100000000 (prepare.pixel_limit)"
    cut = with_chunks(saved(tmp_path / "cut.png", np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)))
    content = with_chunks(cut, TOO_LONG["zTXt"]).read_bytes()
    cut.write_bytes(content[:-2000])
    assert bad(cut).startswith("damaged: ")
