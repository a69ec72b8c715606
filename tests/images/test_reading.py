"""Images as people have them, checked by the pixels that come out; and what is no image, by the reason given."""

import io
import re
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from stages.images.reading import MID_GREY, UnreadableImage, decode, encode, load, resized

LIMIT = 1_000_000
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
ORIENTATION = 274  # the EXIF tag


def scene(height=24, width=36):
    """An image whose four quarters are red, green, blue and white: no flip or turn leaves it as it was."""
    image = np.empty((height, width, 3), np.uint8)
    top, left = slice(height // 2), slice(width // 2)
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    for rows, columns, colour in ((top, left, RED), (top, right, GREEN), (bottom, left, BLUE), (bottom, right, WHITE)):
        image[rows, columns] = colour
    return image


def saved(path, image, **settings):
    """Write an image (an array or a Pillow image) and return its path."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(path, **settings)
    return path


def bad(path, limit=LIMIT):
    """Return the reason why a file is no image."""
    with pytest.raises(UnreadableImage) as caught:
        load(path, limit)
    reason = str(caught.value)
    assert reason
    assert "\n" not in reason
    return reason


def assert_close(image, expected, tolerance):
    assert image.shape == expected.shape
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - expected).max() <= tolerance


def exif(orientation):
    data = Image.Exif()
    data[ORIENTATION] = orientation
    return data.tobytes()


# what a camera held in that way stores of an upright scene: the inverse of what EXIF asks the viewer to do
STORED = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: np.swapaxes(upright, 0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(np.swapaxes(upright, 0, 1), 2),
    8: lambda upright: np.rot90(upright, 3),
}


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
@pytest.mark.parametrize("orientation", STORED)
def test_photographs_stand_upright(orientation, suffix, tmp_path):
    """A photograph looks as in any viewer, however the camera was held."""
    lossless = {"png": {}, "jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}, "tiff": {}}[suffix]
    stored = np.ascontiguousarray(STORED[orientation](scene()))
    path = saved(tmp_path / f"photo.{suffix}", stored, exif=exif(orientation), **lossless)
    assert_close(load(path, LIMIT), scene(), 12 if suffix == "jpg" else 0)


NAMES = [
    "a.png",
    "a.PNG",
    "bé☀.tif",
    "a.TIFF",
    "a.bmp",
    "a.webp",
    "a.gif",
    "a.ppm",
    "a.jp2",
    "a.jpg",
    "a.JPEG",
    "a.avif",
]


@pytest.mark.parametrize("name", [*NAMES, "a b.bmp"])
def test_formats_are_read_as_written(name, tmp_path):
    """Each format gives the image that was saved: exactly where it keeps all, nearly where it does not."""
    suffix = name.rpartition(".")[2].lower()
    if suffix in ("jp2", "avif") and not features.check({"jp2": "jpg_2000", "avif": "avif"}[suffix]):
        pytest.skip("this Pillow does not read it")
    sharp = {"jpg": {"quality": 95, "subsampling": 0}, "avif": {"quality": 90, "subsampling": "4:4:4"}}
    settings = {"webp": {"lossless": True}, "jpeg": sharp["jpg"], **sharp}.get(suffix, {})
    path = saved(tmp_path / name, scene(), **settings)
    assert_close(load(path, LIMIT), scene(), {"jpg": 12, "jpeg": 12, "avif": 12}.get(suffix, 0))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits"])
def test_compressed_tiff_is_read(compression, tmp_path):
    """A TIFF may be compressed."""
    assert_close(load(saved(tmp_path / "a.tif", scene(), compression=compression), LIMIT), scene(), 0)


def test_the_content_decides_not_the_suffix(tmp_path):
    """A PNG named .jpg is read, as browsers do."""
    assert_close(load(saved(tmp_path / "a.jpg", scene(), format="PNG"), LIMIT), scene(), 0)


def test_cmyk_is_shown_in_its_colours(tmp_path):
    """A JPEG for print shows the colours of its inks."""
    inks = np.empty((16, 64, 4), np.uint8)
    inks[:, :16], inks[:, 16:32], inks[:, 32:48], inks[:, 48:] = (255, 0, 0, 0), (0, 0, 255, 0), (0, 0, 0, 255), 0
    path = saved(tmp_path / "print.jpg", cmyk(inks), quality=95)
    expected = np.empty((16, 64, 3), np.uint8)
    expected[:, :16], expected[:, 16:32], expected[:, 32:48], expected[:, 48:] = (0, 255, 255), (255, 255, 0), 0, 255
    assert_close(load(path, LIMIT), expected, 12)


def cmyk(inks):
    return Image.frombytes("CMYK", (inks.shape[1], inks.shape[0]), inks.tobytes())


def grey16(byte_order="<"):
    """16-bit levels over the whole range, and the 8-bit ones that they stand for."""
    levels = np.array([[0, 255, 256, 1000], [32768, 40000, 65279, 65535]], f"{byte_order}u2")
    return levels, np.repeat((levels // 256).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(("name", "mode"), [("a.png", "I;16"), ("a.tif", "I;16"), ("a.tif", "I;16B")])
def test_16_bit_grey_is_scaled_not_clipped(name, mode, tmp_path):
    """Scanners and microscopes write 16-bit TIFF in either byte order, and PNG."""
    levels, expected = grey16(">" if mode == "I;16B" else "<")
    path = saved(tmp_path / name, Image.frombytes(mode, (4, 2), levels.tobytes()))
    assert_close(load(path, LIMIT), expected, 0)


def test_16_bit_colour_is_scaled(tmp_path):
    """16 bits a channel keep the colours."""
    samples = np.array([[[0, 32768, 65535]], [[65535, 256, 255]]], ">u2")
    path = tmp_path / "a.png"
    path.write_bytes(png(1, 2, 16, 2, b"".join(b"\0" + row.tobytes() for row in samples)))
    assert_close(load(path, LIMIT), (samples // 256).astype(np.uint8), 0)


def png(width, height, bits, colour, rows, *extra):
    """Write a PNG by hand, of kinds that Pillow cannot write."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_16_bit_grey_with_alpha_is_composited(tmp_path):
    """Transparency counts at 16 bits as well."""
    samples = np.array([[[65535, 65535], [65535, 0]]], ">u2")
    path = tmp_path / "a.png"
    path.write_bytes(png(2, 1, 16, 4, b"\0" + samples.tobytes()))
    assert_close(load(path, LIMIT), np.array([[WHITE, MID_GREY]], np.uint8), 0)


@pytest.mark.parametrize("values", [[[0.0, 0.5, 1.0]], [[-4.0, 300.0, 1e9]]])
def test_floating_point_images_are_refused(values, tmp_path):
    """Nothing tells which value is white: the person converts it, instead of getting a black image in silence."""
    path = saved(tmp_path / "a.tif", Image.fromarray(np.array(values, np.float32)))
    assert bad(path) == "its values are not of 8 or 16 bits, so black and white are unknown; convert it"


@pytest.mark.parametrize(("values", "read"), [([[0, 65535]], True), ([[0, 65536]], False), ([[-1, 9]], False)])
def test_32_bit_images_are_read_only_within_16_bits(values, read, tmp_path):
    """32-bit grey is read as 16-bit where it is no more than that."""
    path = saved(tmp_path / "a.tif", Image.fromarray(np.array(values, np.int32)))
    if read:
        assert_close(load(path, LIMIT), np.array([[(0, 0, 0), WHITE]], np.uint8), 0)
    else:
        assert bad(path).startswith("its values are not of 8 or 16 bits")


def test_palette_images_show_their_colours(tmp_path):
    """A palette gives its colours, not its indices."""
    image = Image.fromarray(scene()).quantize(4, dither=Image.Dither.NONE)
    assert image.mode == "P"
    assert_close(load(saved(tmp_path / "a.png", image), LIMIT), scene(), 0)


@pytest.mark.parametrize(
    ("suffix", "transparency", "shown"),
    [
        ("png", 0, [MID_GREY, BLUE, WHITE]),
        ("gif", 0, [MID_GREY, BLUE, WHITE]),
        ("png", bytes([0, 255, 128]), [MID_GREY, BLUE, (192, 192, 192)]),
    ],
)
def test_a_transparent_palette_colour_shows_mid_grey(suffix, transparency, shown, tmp_path):
    """A palette may have one colour that is transparent, or give each its own transparency."""
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *BLUE, *WHITE])
    image.putdata([0, 1, 2])
    path = saved(tmp_path / f"a.{suffix}", image, transparency=transparency)
    assert_close(load(path, LIMIT), np.array([shown], np.uint8), 1)


def test_one_transparent_colour_shows_mid_grey(tmp_path):
    """A PNG without alpha may still name one colour that is transparent."""
    rgb = saved(tmp_path / "rgb.png", np.array([[RED, BLUE]], np.uint8), transparency=RED)
    assert_close(load(rgb, LIMIT), np.array([[MID_GREY, BLUE]], np.uint8), 0)
    grey = saved(tmp_path / "grey.png", np.array([[7, 255]], np.uint8), transparency=7)
    assert_close(load(grey, LIMIT), np.array([[MID_GREY, WHITE]], np.uint8), 0)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_alpha_is_composited_on_mid_grey(suffix, tmp_path):
    """What is clear shows mid-grey, what is half clear half of it, what is opaque itself."""
    pixels = np.array([[(255, 0, 0, 255), (255, 0, 0, 0), (255, 255, 255, 128), (0, 0, 0, 128)]], np.uint8)
    path = saved(tmp_path / f"a.{suffix}", pixels, **({"lossless": True, "exact": True} if suffix == "webp" else {}))
    expected = np.array([[RED, MID_GREY, (192, 192, 192), (64, 64, 64)]], np.uint8)
    assert_close(load(path, LIMIT), expected, 1)


def test_greyscale_with_alpha_is_composited(tmp_path):
    """Grey images may be transparent as well."""
    path = saved(tmp_path / "a.png", np.array([[(0, 255), (0, 0), (255, 128)]], np.uint8))
    assert_close(load(path, LIMIT), np.array([[(0, 0, 0), MID_GREY, (192, 192, 192)]], np.uint8), 1)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "gif"])
def test_greyscale_has_three_equal_channels(suffix, tmp_path):
    """A grey image comes as red, green and blue alike."""
    grey = np.arange(0, 250, 10, dtype=np.uint8).reshape(5, 5)
    path = saved(tmp_path / f"a.{suffix}", grey)
    assert_close(load(path, LIMIT), np.repeat(grey[..., None], 3, axis=2), 0)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_one_bit_is_black_and_white(suffix, tmp_path):
    """A scan of 1 bit a pixel is black and white, not black and nearly black."""
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(np.array([[True, False, True]])))
    assert_close(load(path, LIMIT), np.array([[WHITE, (0, 0, 0), WHITE]], np.uint8), 0)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_of_an_animation_the_first_frame_counts(suffix, tmp_path):
    """A moving image, or a TIFF of several pages, gives its first one."""
    frames = [Image.fromarray(frame) for frame in (scene(), 255 - scene(), np.zeros_like(scene()))]
    settings = {"lossless": True} if suffix == "webp" else {}
    path = saved(tmp_path / f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:], **settings)
    with Image.open(path) as image:
        assert image.n_frames == 3
    assert_close(load(path, LIMIT), scene(), 0)


@pytest.mark.parametrize(
    "content", [b"hello", b"<html>404</html>", bytes(100), b"\xff\xd8\xff", b"%!PS-Adobe-3.0 EPSF-3.0\n"]
)
def test_what_is_no_image_is_bad(content, tmp_path):
    """Nothing at all, text, a web page, zeros, the bare start of a JPEG, or a PostScript program are no images."""
    (tmp_path / "a.jpg").touch()
    assert bad(tmp_path / "a.jpg") == "the file is empty"
    (tmp_path / "a.jpg").write_bytes(content)
    assert bad(tmp_path / "a.jpg") == "not an image, or of a format that cannot be read"


def test_postscript_is_not_run(tmp_path):
    """A valid EPS, which Pillow would hand to Ghostscript, is not taken for an image."""
    path = saved(tmp_path / "a.eps", scene())
    assert bad(path) == "not an image, or of a format that cannot be read"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "tif", "bmp", "jp2", "avif"])
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_truncated_image_is_bad(suffix, part, tmp_path):
    """An image of which the end is missing is bad, not half grey."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    path = saved(tmp_path / f"a.{suffix}", noise)
    whole = path.read_bytes()
    load(path, LIMIT)
    path.write_bytes(whole[: int(len(whole) * part)])
    reason = bad(path)
    assert reason.startswith(("damaged: ", "not an image"))
    assert len(reason) > len("damaged: ")


def test_more_pixels_than_the_limit_are_bad(tmp_path):
    """The limit is allowed, one pixel more is not; the reason says how many there are."""
    path = saved(tmp_path / "a.png", np.zeros((20, 30, 3), np.uint8))
    assert load(path, 600).shape == (20, 30, 3)
    assert bad(path, 599) == "30 x 20 pixels are more than the limit of 599 (prepare.pixel_limit)"
    assert bad(path, 100) == "more pixels than the limit of 100 (prepare.pixel_limit)"


def test_a_limit_above_pillows_own_holds(tmp_path, monkeypatch):
    """A person who allows huge images gets them: the limit in params.yaml is the only one."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert load(saved(tmp_path / "a.png", scene()), 24 * 36).shape == (24, 36, 3)


def test_a_decompression_bomb_is_bad(tmp_path):
    """A small file that claims to be 60,000 pixels wide and high is refused before memory is asked for."""
    (tmp_path / "a.png").write_bytes(png(60_000, 60_000, 8, 2, bytes(1000)))
    assert bad(tmp_path / "a.png", 100_000_000) == "more pixels than the limit of 100000000 (prepare.pixel_limit)"


def test_a_jpeg_of_thousands_of_scans_is_bad(tmp_path):
    """Each scan of a progressive JPEG is work for the whole image: a file of 1 MB could keep a core for minutes."""
    path = saved(tmp_path / "a.jpg", scene(), progressive=True)
    whole = path.read_bytes()
    assert load(path, LIMIT).shape == (24, 36, 3)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    path.write_bytes(whole[:-2] + 3000 * last + whole[-2:])
    assert re.fullmatch(r"a JPEG of 30\d\d scans, which would take minutes to decode; save it again", bad(path))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize(
    "corrupt",
    [b"no exif at all", b"II*\0\x08\0", b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", ORIENTATION, 2, 4, 0x41414141)],
    ids=["garbage", "cut", "text for a number"],
)
def test_corrupt_exif_does_not_spoil_a_image(corrupt, suffix, tmp_path):
    """An image whose EXIF makes no sense is taken as it lies: its pixels are whole."""
    settings = {"jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    path = saved(tmp_path / f"a.{suffix}", scene(), exif=b"Exif\0\0" + corrupt, **settings)
    assert_close(load(path, LIMIT), scene(), 12 if suffix == "jpg" else 0)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "tif", "bmp", "jp2", "avif"])
def test_damage_anywhere_gives_a_image_or_a_reason(suffix, tmp_path):
    """Whatever bytes a file holds, it is read or called bad; nothing else happens."""
    random = np.random.default_rng(1)
    settings = {"exif": exif(6)} if suffix in ("jpg", "png", "webp", "tif", "avif") else {}
    path = saved(tmp_path / f"a.{suffix}", scene(), **settings)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(60):
        damaged = whole.copy()
        damaged[random.integers(0, min(len(whole), 400), 3)] = random.integers(0, 256, 3)
        path.write_bytes(damaged.tobytes())
        with suppress(UnreadableImage):
            assert load(path, LIMIT).shape[2] == 3


def test_an_avif_that_does_not_decode_is_bad(tmp_path):
    """Errors of every kind that a reader raises become a reason."""
    if not features.check("avif"):
        pytest.skip("this Pillow does not read it")
    path = saved(tmp_path / "a.avif", scene())
    content = path.read_bytes()
    start = content.index(b"mdat") + 4
    path.write_bytes(content[:start] + b"\xff" * (len(content) - start))
    assert bad(path).startswith("damaged: ")


def test_an_error_without_words_is_named(tmp_path, monkeypatch):
    """A reader that fails without a message still leaves a reason."""
    path = saved(tmp_path / "a.png", scene())
    monkeypatch.setattr(Image.Image, "load", lambda _: (_ for _ in ()).throw(MemoryError()))
    assert bad(path) == "damaged: MemoryError"


def test_shrinking_averages_pixels(tmp_path):
    """A checkerboard of single pixels becomes flat mid-grey, without moiré."""
    board = np.repeat((np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    small = resized(board, 64)
    assert small.shape == (64, 64, 3)
    assert_close(small, np.full((64, 64, 3), 127.5), 0.5)


def test_shrinking_is_the_mean_over_the_area():
    """Each pixel of an image made 3 times smaller is the mean of 3 x 3 pixels."""
    image = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)
    means = image.reshape(10, 3, 10, 3, 3).mean(axis=(1, 3))
    assert np.abs(resized(image, 10) - means).max() <= 0.51


@pytest.mark.parametrize("shape", [(8, 8), (8, 9), (8, 13), (9, 8), (12, 8), (13, 8)])
def test_the_centre_square_is_cut_out(shape):
    """An image of the right height loses its sides, evenly; one pixel too many goes from the right or bottom."""
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    top, left = (shape[0] - 8) // 2, (shape[1] - 8) // 2
    assert np.array_equal(resized(image, 8), image[top : top + 8, left : left + 8])


@pytest.mark.parametrize(("size", "tolerance"), [(8, 1), (200, 1)])
def test_size_does_not_shift_the_middle(size, tolerance):
    """Shrunk or enlarged, the middle of a wide image stays in the middle."""
    wide = np.zeros((40, 121, 3), np.uint8)
    wide[:, :60], wide[:, 61:] = BLUE, RED
    wide[:, 60] = (128, 0, 128)
    small = resized(wide, size).astype(int)
    mirrored = small[:, ::-1, ::-1]
    assert np.abs(small - mirrored)[:, : size // 2 - size // 8].max() <= tolerance
    assert tuple(small[size // 2, 0]) == BLUE
    assert tuple(small[size // 2, -1]) == RED


def test_enlarging_keeps_colours_and_place():
    """A small image is enlarged: flat parts keep their colour, at their place."""
    large = resized(scene(8, 8), 64)
    assert large.shape == (64, 64, 3)
    corners = [tuple(int(value) for value in large[row, column]) for row in (8, 56) for column in (8, 56)]
    assert corners == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("shape", [(1, 500), (500, 1), (1, 1), (3, 1_000_000)])
def test_extreme_shapes_give_a_square(shape):
    """A line of pixels gives a square of its middle, within the memory of the square."""
    image = np.zeros((*shape, 3), np.uint8)
    middle = tuple(slice((side - min(shape)) // 2, (side - min(shape)) // 2 + min(shape)) for side in shape)
    image[middle] = GREEN
    assert np.array_equal(resized(image, 64), np.full((64, 64, 3), GREEN))


@pytest.mark.parametrize(("height", "width"), [(20, 40), (40, 20)])
def test_padding_shows_the_whole_image_between_grey_bars(height, width):
    """An image twice as wide as high is half of the square's height, in the middle, with nothing cut away."""
    padded = resized(scene(height, width), 20, "pad")
    padded = padded if width > height else np.swapaxes(padded, 0, 1)
    assert (padded[:5] == MID_GREY).all()
    assert (padded[15:] == MID_GREY).all()
    whole = padded[5:15] if width > height else np.swapaxes(padded[5:15], 0, 1)
    assert np.array_equal(whole, scene(height // 2, width // 2))


def test_padding_a_small_image_enlarges_it():
    """The longer side always fills the square; one bar may be a pixel wider than the other."""
    padded = resized(np.full((1, 4, 3), RED, np.uint8), 10, "pad")
    assert (padded != MID_GREY).any(axis=2).sum(axis=0).tolist() == [2] * 10
    assert (padded[4:6] == RED).all()


@pytest.mark.parametrize(("height", "width"), [(20, 40), (10, 40), (40, 10), (10, 10), (40, 40), (23, 31)])
def test_squashing_shows_the_whole_image(height, width):
    """All four quarters fill the square's quarters, whatever the shape was."""
    assert_close(
        resized(scene(height, width), 20, "squash")[[2, 2, 17, 17], [2, 17, 2, 17]], scene(2, 2).reshape(4, 3), 0
    )


def test_squashing_averages_the_side_that_shrinks():
    """Lines of single pixels become flat grey in an image that is enlarged along its other side."""
    lines = np.tile(np.array([0, 255], np.uint8), 128)[None, :, None].repeat(3, axis=2).repeat(16, axis=0)
    assert_close(resized(lines, 64, "squash"), np.full((64, 64, 3), 127.5), 0.5)


@pytest.mark.parametrize("fit", ["pad", "squash"])
def test_extreme_shapes_fit_whole(fit):
    """A line of a million pixels fits within the memory of the square, and an image of the right size stays."""
    line = np.full((3, 1_000_000, 3), GREEN, np.uint8)
    assert (resized(line, 64, fit) == GREEN).all(axis=2).sum() == (64 if fit == "pad" else 64 * 64)
    assert np.array_equal(resized(scene(64, 64), 64, fit), scene(64, 64))


def test_the_right_size_is_left_as_it_is():
    """An image that has the size keeps every pixel."""
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    assert np.array_equal(resized(image, 16), image)


def test_encoding_keeps_colours_in_order():
    """Red stays red: what is decoded is what was encoded, but for JPEG's small loss."""
    assert_close(decode(encode(scene(32, 32), 95)), scene(32, 32), 6)


def test_encoding_keeps_single_pixels_of_colour():
    """Colour is kept at full resolution: lines a pixel wide stay red and blue."""
    lines = np.empty((32, 32, 3), np.uint8)
    lines[:, ::2], lines[:, 1::2] = RED, BLUE
    assert_close(decode(encode(lines, 95)), lines, 25)


def test_quality_is_a_trade():
    """A lower quality takes fewer bytes and loses more; the same image gives the same bytes."""
    image = np.asarray(Image.effect_noise((64, 64), 40).convert("RGB"))
    errors = [np.abs(decode(encode(image, quality)).astype(int) - image).mean() for quality in (10, 95)]
    assert errors[0] > 2 * errors[1]
    assert len(encode(image, 10)) < len(encode(image, 95)) / 2
    assert encode(image, 95) == encode(image, 95)


def test_others_read_what_is_encoded():
    """The bytes are a JPEG that Pillow shows in the same colours."""
    with Image.open(io.BytesIO(encode(scene(32, 32), 95))) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (32, 32))
        assert_close(np.asarray(ImageOps.exif_transpose(image)), scene(32, 32), 6)
