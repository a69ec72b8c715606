"""The names of an archive's members, which old programs for Windows pack in a code page and do not say in which."""

import codecs
import re
import struct
import unicodedata
import zlib
from typing import Annotated
from zipfile import ZipInfo

from charset_normalizer import from_bytes
from pydantic import AfterValidator

UTF_8 = 0x800  # flag bit of a zip member
UNICODE_PATH = 0x7075  # the extra field in which some programs put the name in UTF-8 as well

# What programs for Windows pack names in, where a name could be of several the first; and in which of a charset's lead
# bytes its common characters lie: those of its first level, by how often they are used
CODE_PAGES = {
    "cp932": ("shift_jis", 0x82, 0x97),
    "gb18030": ("gb2312", 0xB0, 0xD7),
    "cp949": ("euc_kr", 0xB0, 0xC8),
    "big5": ("big5", 0xA4, 0xC6),
    **dict.fromkeys(["cp437", "cp850", "cp866", "cp1251", "cp1252"], ("", 0, 0)),
}


def _known(encoding: str) -> str:
    if encoding == "detect":
        return encoding
    try:
        found = codecs.lookup(encoding)
        "a".encode(encoding)  # rot13 and base64 are codecs as well, but of no text
    except (LookupError, ValueError, TypeError):
        raise ValueError("must be detect or a text encoding: utf-8, gbk, cp932, cp437, ...") from None
    return found.name


NameEncoding = Annotated[str, AfterValidator(_known)]


def raw_name(info: ZipInfo) -> bytes | str:
    """Return the name of a zip member: as text where the archive says that it is UTF-8, else as bytes."""
    if info.flag_bits & UTF_8:
        return info.orig_filename  # `filename` is cut at a NUL
    raw = info.orig_filename.encode("cp437")  # by which zipfile reads what is not marked
    return _unicode_path(info.extra, raw) or raw


def encoding_of(names: list[bytes], wanted: str) -> str:
    """Return the encoding that names are in: the one wanted or, with "detect", the likeliest; "" if none is likely."""
    if wanted != "detect":
        return wanted
    try:
        b"".join(names).decode()
    except UnicodeDecodeError:
        matches = from_bytes(b"\n".join(names), cp_isolation=list(CODE_PAGES), threshold=0.5)
        ranks = {match.encoding: (_oddities(str(match), match.encoding), round(match.chaos, 1)) for match in matches}
        return min((page for page in CODE_PAGES if page in ranks), key=lambda page: ranks[page], default="")
    return "utf-8"  # which the Finder packs without marking it


def _oddities(text: str, code_page: str) -> int:
    """Return how many characters and words of a text are unlikely in names of that code page."""
    charset, first, last = CODE_PAGES[code_page]
    odd = 0
    for character in filter(lambda each: not each.isascii(), text):
        encoded = character.encode(charset or code_page, errors="ignore")
        common = not charset or (len(encoded) == 2 and first <= encoded[0] <= last)
        odd += not common or unicodedata.category(character)[0] not in "LM"
    for word in re.findall(r"\w+", text):
        scripts = {unicodedata.name(character, "?").split()[0] for character in word if character.isalpha()}
        odd += len(scripts & {"LATIN", "GREEK", "CYRILLIC"}) > 1
    return odd


def _unicode_path(extra: bytes, raw: bytes) -> str:
    """Return the name in a member's extra field for it, "" where there is none or it is of another name."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        content, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == UNICODE_PATH and content[1:5] == struct.pack("<L", zlib.crc32(raw)):
            return content[5:].decode(errors="surrogateescape")
    return ""
