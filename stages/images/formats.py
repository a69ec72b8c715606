"""Formats that Pillow does not read as they are: their names, and how images in them are read after all."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

# Suffixes of raw files that are TIFF inside: Pillow would take the small preview in them for the image
RAW_SUFFIXES = ("3fr", "arw", "cr2", "crw", "dcr", "dng", "erf", "iiq", "kdc", "mef", "mos", "mrw", "nef", "nrw", "orf",
               "pef", "ptx", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f")  # fmt: skip
RAW_SIGNATURES = {b"FUJIFILMCCD-RAW": "RAF", b"IIRO": "ORF", b"IIRS": "ORF", b"MMOR": "ORF", b"IIU\0": "RW2",
              b"FOVb": "X3F", b"\0MRM": "MRW", b"II\x1a\0\0\0HEAPCCDR": "CRW"}  # fmt: skip
OTHER_SIGNATURES = {b"%PDF": "PDF", b"8BPS": "Photoshop", b"\xff\x0a": "JPEG XL", b"\0\0\0\x0cJXL ": "JPEG XL"}
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
VIDEO_BRANDS = {b"qt  ", b"mp41", b"mp42", b"isom", b"M4V "}
REDUCED_COPY, SUB_IMAGES, SUBFILE_TYPE, DNG_VERSION = 1, 330, 254, 50706  # of TIFF

# Chunks of a PNG without which its pixels would be others; and those that may tell which side is up
PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
ORIENTATION_CHUNKS = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
METADATA_BYTES = 1 << 20  # of all texts of a PNG together


def first_bytes(path: Path) -> bytes:
    """Return the first bytes of a file, which say what it is."""
    with path.open("rb") as file:
        return file.read(64)


def is_heif(start: bytes) -> bool:
    """Say whether a file that starts so is HEIC or another HEIF that is not AVIF."""
    brands = _brands(start)
    return not HEIF_BRANDS.isdisjoint(brands) and not {b"avif", b"avis"} & brands


def reads_heif() -> bool:
    """Have Pillow read HEIF; say whether the package for that is there."""
    try:
        import pi_heif  # takes 0.4 s, which a study without such files need not wait for
    except ImportError:
        return False
    pi_heif.options.DECODE_THREADS = 1  # the processes already use every core
    pi_heif.register_heif_opener()
    return True


def unsupported_reason(path: Path) -> str:
    """Say what a file is that no image could be read from, and what to do."""
    start, suffix = first_bytes(path), path.suffix.lower().removeprefix(".")
    if is_heif(start):
        return "a HEIC image, as iPhones write them; install the package pi-heif, which reads it, or convert it to JPEG"
    if raw := "CR3" if b"crx " in _brands(start) else _signed(start, RAW_SIGNATURES):
        return raw_format_reason(raw)
    if suffix in RAW_SUFFIXES:
        return raw_format_reason(suffix.upper())
    if VIDEO_BRANDS & _brands(start):
        return "a video; take it out, or save one of its images as JPEG"
    if name := _signed(start, OTHER_SIGNATURES):
        return f"{name} cannot be read; convert it to JPEG or PNG"
    return "not an image, or of a format that cannot be read"


def _signed(start: bytes, signatures: dict[bytes, str]) -> str:
    return next((name for signature, name in signatures.items() if start.startswith(signature)), "")


def raw_format_reason(name: str) -> str:
    """Say why a camera's raw file is no image yet."""
    return f"a camera's raw file ({name}), whose colours are not settled yet; convert it to JPEG or TIFF"


def raw_format(image: Image.Image, path: Path) -> str:
    """Return which camera raw format a TIFF is that Pillow has opened; nothing where it is an image."""
    tags, suffix = image.getexif(), path.suffix.lower().removeprefix(".")
    if DNG_VERSION in tags:
        return "DNG"
    if suffix in RAW_SUFFIXES:
        return suffix.upper()
    if first_bytes(path)[8:10] == b"CR":
        return "CR2"
    preview = tags.get(SUBFILE_TYPE) == REDUCED_COPY and SUB_IMAGES in tags
    return "TIFF of a preview and sensor data" if preview else ""


def png_without_metadata(content: bytes) -> bytes:
    """Return a PNG without the chunks that its pixels do not need; those that may turn it stay, up to a size."""
    kept, left = [PNG_SIGNATURE], METADATA_BYTES
    for kind, body, whole in _chunks(content):
        if kind in ORIENTATION_CHUNKS:
            size = _decompressed_text_size(kind, body, left)
            if size > left or whole[-4:] != struct.pack(">I", zlib.crc32(kind + body)):
                continue
            left -= size
        elif kind not in PIXEL_CHUNKS:
            continue
        kept.append(whole)
    return b"".join(kept)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield kind, body and all of each chunk of a PNG, as far as it goes."""
    start = len(PNG_SIGNATURE)
    while start + 8 <= len(content):
        end = start + 12 + int.from_bytes(content[start : start + 4], "big")
        yield content[start + 4 : start + 8], content[start + 8 : end - 4], content[start:end]
        start = end


def _decompressed_text_size(kind: bytes, body: bytes, limit: int) -> int:
    """Return how many bytes a chunk of text unpacks to; more than `limit` where it is more or cannot be unpacked."""
    name, _, rest = body.partition(b"\0")
    if kind in (b"eXIf", b"tEXt") or (kind == b"iTXt" and not rest.startswith(b"\1")):
        return len(body)
    packed = rest[1:] if kind == b"zTXt" else rest[2:].split(b"\0", 2)[-1]
    try:
        return len(name) + len(zlib.decompressobj().decompress(packed, limit + 1))
    except zlib.error:
        return limit + 1


def _brands(start: bytes) -> set[bytes]:
    """Return which formats a file of the family of MP4 and HEIF says it keeps to."""
    if start[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(start[:4], "big"), len(start))
    return {start[8:12], *(start[first : first + 4] for first in range(16, end, 4))}
