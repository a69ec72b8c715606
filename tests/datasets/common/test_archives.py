"""Archives from anywhere: good ones unpack to exactly what they hold, bad ones to nothing and one clear line."""

import bz2
import gc
import gzip
import io
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile

import pytest

from stages.datasets.common import archives
from stages.datasets.common.archives import SUFFIXES, Limits, is_archive, unpack
from stages.runtime.errors import UserError

IMAGES = {
    "red kites/one.jpg": b"1" * 3000,
    "red kites/deep/er/two.JPG": b"",
    "blåmes/été ☀.png": b"\x00\xff" * 512,
    "top.txt": b"x" * 511,
}
RENAME = "rename or remove it and pack again"
RAISE = "raise it in params.yaml if you trust the archive"
DEREFERENCE = "pack again with what links lead to (tar --dereference --hard-dereference)"


@pytest.fixture
def target(tmp_path):
    """The folder to unpack into, beside a file that nothing may touch; it is as it was at the end of a refusal."""
    folder = tmp_path / "around" / "target"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_bytes(b"mine")
    return folder


def tree(folder):
    """All below a folder: path and bytes of each file, None for a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


def tar_file(path, entries, **settings):
    """Write a tar archive of (name, bytes) pairs and TarInfo objects."""
    with tarfile.open(path, "w" + settings.pop("compression", ""), **settings) as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry, io.BytesIO(bytes(entry.size)))
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                tar.addfile(info, io.BytesIO(entry[1]))
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.filterwarnings("ignore:Duplicate name")
def zip_file(path, entries, compression=zipfile.ZIP_DEFLATED):
    """Write a zip archive of (name or ZipInfo, bytes) pairs."""
    with zipfile.ZipFile(path, "w", compression) as zipped:
        for name, content in entries:
            zipped.writestr(name, content)
    return path


def moded(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def good(path):
    """Write IMAGES as an archive of the kind that the suffix of `path` names."""
    if path.name.lower().endswith(".zip"):
        return zip_file(path, IMAGES.items())
    kind = {".tar": "", ".gz": ":gz", ".tgz": ":gz", ".bz2": ":bz2", ".xz": ":xz"}[path.suffix.lower()]
    return tar_file(path, IMAGES.items(), compression=kind)


def refusal(archive, target, limits=archives.DEFAULT_LIMITS):
    """Unpack what must be refused; check that all is as before; return the line without the archive's name."""
    around = target.parent.parent
    before = tree(around)
    with pytest.raises(UserError) as caught:
        unpack(archive, target, limits)
    assert tree(around) == before
    (line,) = caught.value.lines
    assert "\n" not in line
    start = f"{archive}: "
    assert line.startswith(start)
    return line.removeprefix(start)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".TAR", ".Tar.Gz", ".ZIP"])
def test_a_good_archive_unpacks_to_exactly_what_it_holds(suffix, tmp_path, target):
    """Every kind of archive gives the files packed, byte for byte, also with spaces and letters of any script."""
    archive = good(tmp_path / f"my images{suffix}")
    assert is_archive(archive)
    unpack(archive, target)
    folders = {"red kites": None, "red kites/deep": None, "red kites/deep/er": None, "blåmes": None}
    assert tree(target) == {**IMAGES, **folders, "mine.txt": b"mine"}


@pytest.mark.parametrize("name", ["images.rar", "images", "zip", "images.tar.zst", "images.zip.part"])
def test_other_files_are_no_archives(name, tmp_path):
    """A file of another suffix is not taken for an archive."""
    assert not is_archive(tmp_path / name)


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_files_come_out_readable_and_harmless(suffix, tmp_path, target):
    """Whatever modes an archive asks for and whatever the umask, files get 0644: no setuid bit, nothing unreadable."""
    archive = tmp_path / f"modes{suffix}"
    if suffix == ".tar":
        infos = [tarfile.TarInfo(name) for name in ("setuid", "closed")]
        infos[0].mode, infos[1].mode = 0o6777, 0o000
        tar_file(archive, infos)
    else:
        zip_file(archive, [(moded("setuid", stat.S_IFREG | 0o6777), b""), (moded("closed", stat.S_IFREG), b"")])
    umask = os.umask(0o077)
    try:
        unpack(archive, target)
    finally:
        os.umask(umask)
    assert [stat.S_IMODE((target / name).stat().st_mode) for name in ("setuid", "closed")] == [0o644, 0o644]


def test_folders_of_their_own_and_dots_are_fine(tmp_path, target):
    """`tar cf x.tar .` writes ./ before every name and folders as members, some of them twice."""
    folders = [special(name, tarfile.DIRTYPE) for name in ("./", "./a", "./a/", "./empty")]
    unpack(tar_file(tmp_path / "dots.tar", [*folders, ("./a/x", b"x")]), target)
    assert tree(target) == {"mine.txt": b"mine", "a": None, "a/x": b"x", "empty": None}


def test_zips_packed_by_the_finder_keep_their_names(tmp_path, target):
    """The Finder writes UTF-8 names without marking them so; they are read as meant."""
    archive = zip_file(tmp_path / "finder.zip", [("XXXX.jpg", b"1")])
    archive.write_bytes(archive.read_bytes().replace(b"XXXX", "åé".encode()))
    unpack(archive, target)
    assert tree(target) == {"mine.txt": b"mine", "åé.jpg": b"1"}


def test_names_do_not_depend_on_the_language_of_the_machine(tmp_path, target, monkeypatch):
    """A tar file gives the same names on a machine whose own encoding is another."""
    archive = tar_file(tmp_path / "a.tar", [("blåmes.jpg", b"1")], format=tarfile.GNU_FORMAT)
    monkeypatch.setattr(tarfile.TarFile, "encoding", "latin-1")
    unpack(archive, target)
    assert tree(target) == {"mine.txt": b"mine", "blåmes.jpg": b"1"}


LEADING_OUT = {
    "/tmp/evil.jpg": "has an absolute path",  # noqa: S108  # what the archive says, never written
    "//server/evil.jpg": "has an absolute path",
    "C:/evil.jpg": "has an absolute path",
    "c:evil.jpg": "has an absolute path",
    "../evil.jpg": "has .. in its path",
    "a/../../evil.jpg": "has .. in its path",
    "a/..": "has .. in its path",
    "..\\evil.jpg": "has a backslash in its name",
    "\\\\server\\evil.jpg": "has a backslash in its name",
    "a\nb.jpg": "has a control character in its name",
    "a\x1b[2Jb.jpg": "has a control character in its name",
    "d/" * 500 + "x.jpg": "has too long a name",
    ".": "has no name",
}


@pytest.mark.parametrize(("name", "why"), LEADING_OUT.items())
@pytest.mark.parametrize("suffix", [".tar", ".tgz", ".zip"])
def test_names_that_lead_elsewhere_are_refused(name, why, suffix, tmp_path, target):
    """No member is written outside the folder, nor under a name that means something else on another system."""
    entries = [("good.jpg", b"1"), (name, b"2")]
    write = zip_file if suffix == ".zip" else tar_file
    settings = {"compression": ":gz"} if suffix == ".tgz" else {}
    archive = write(tmp_path / f"hostile{suffix}", entries, **settings)
    if suffix == ".zip" and "\\" in name:  # which PowerShell separates folders by
        name = name.replace("\\", "/")
        why = next(LEADING_OUT[other] for other in ("../evil.jpg", "//server/evil.jpg") if other == name)
    assert refusal(archive, target) == f"refused, member {name[:200]!r} {why}; {RENAME}"


def test_a_name_that_a_nul_cuts_short_is_refused(tmp_path, target):
    """good.jpg<NUL>.exe is not unpacked as good.jpg."""
    archive = zip_file(tmp_path / "nul.zip", [("good.jpg#.exe", b"1")])
    archive.write_bytes(archive.read_bytes().replace(b"#", b"\x00"))
    why = "has a control character in its name"
    assert refusal(archive, target) == f"refused, member 'good.jpg\\x00.exe' {why}; {RENAME}"
    tar = tarfile.TarInfo("short.jpg")
    tar.pax_headers = {"path": "good.jpg\0.exe"}
    archive = tar_file(tmp_path / "nul.tar", [tar], format=tarfile.PAX_FORMAT)
    assert refusal(archive, target) == f"refused, member 'good.jpg\\x00.exe' {why}; {RENAME}"


def test_a_name_too_long_for_the_file_system_is_refused(tmp_path, target):
    """A name of more than 255 bytes gives a line, not a traceback."""
    assert (
        refusal(tar_file(tmp_path / "long.tar", [("x" * 300, b"")]), target) == "cannot be unpacked: File name too long"
    )


def test_names_that_are_not_utf_8_are_refused(tmp_path, target):
    """A name in an old code page could be unpacked only under a wrong name; the line shows its bytes."""
    latin = tar_file(tmp_path / "latin.tar", [("café.jpg", b"")], format=tarfile.GNU_FORMAT, encoding="latin-1")
    assert refusal(latin, target) == f"refused, member 'caf\\udce9.jpg' has a name that is not UTF-8; {RENAME}"
    unmarked = zip_file(tmp_path / "unmarked.zip", [("caf#.jpg", b"")])
    unmarked.write_bytes(unmarked.read_bytes().replace(b"#", b"\xe9"))
    assert refusal(unmarked, target) == f"refused, member 'caf\\udce9.jpg' has a name that is not UTF-8; {RENAME}"
    marked = zip_file(tmp_path / "marked.zip", [("café.jpg", b"")])
    marked.write_bytes(marked.read_bytes().replace("é".encode(), b"\xe9e"))
    assert refusal(marked, target) == f"refused, member b'caf\\xe9e.jpg' has a name that is not UTF-8; {RENAME}"


@pytest.mark.parametrize(
    ("names", "overwritten"),
    [
        (("a/Foo.jpg", "a/foo.JPG"), "a/Foo.jpg"),
        (("Robin/1.jpg", "robin/2.jpg"), "Robin"),
        (("a/\u00e9.jpg", "a/e\u0301.jpg"), "a/\u00e9.jpg"),
        (("STRASSE.jpg", "straße.jpg"), "STRASSE.jpg"),
    ],
    ids=["file", "folder", "accent", "sharp s"],
)
@pytest.mark.parametrize("write", [tar_file, zip_file])
def test_names_that_some_systems_hold_for_one_are_refused(names, overwritten, write, tmp_path, target):
    """Foo.jpg and foo.JPG in one folder are two images on Linux and one on macOS: nobody gets another data set."""
    archive = write(tmp_path / f"case.{write.__name__[:3]}", [(name, b"1") for name in names])
    why = f"would overwrite {overwritten!r} where case does not count"
    assert refusal(archive, target) == f"refused, member {names[1]!r} {why}; {RENAME}"


@pytest.mark.parametrize("names", [("a.jpg", "a.jpg"), ("a.jpg", "./a.jpg"), ("a", "a/b"), ("a/b", "a")])
@pytest.mark.parametrize("write", [tar_file, zip_file])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_comes_twice_is_refused(names, write, tmp_path, target):
    """Which of two members of one name is meant, nobody knows."""
    archive = write(tmp_path / f"twice.{write.__name__[:3]}", [(name, b"1") for name in names])
    assert refusal(archive, target) == f"refused, member {names[1]!r} comes twice; {RENAME}"


@pytest.mark.parametrize(
    "member",
    [
        special("thing", tarfile.SYMTYPE, "../../outside"),
        special("thing", tarfile.SYMTYPE, "good.jpg"),
        special("thing", tarfile.LNKTYPE, "good.jpg"),
        special("thing", tarfile.LNKTYPE, "/etc/passwd"),
        special("thing", tarfile.FIFOTYPE),
        special("thing", tarfile.CHRTYPE),
        special("thing", tarfile.BLKTYPE),
        special("thing", b"V"),
    ],
    ids=["link out", "link", "hard link", "hard link out", "fifo", "character device", "block device", "volume label"],
)
def test_links_and_devices_in_a_tar_are_refused(member, tmp_path, target):
    """Only plain files and folders are unpacked; the line says how to pack what links lead to."""
    archive = tar_file(tmp_path / "links.tar", [("good.jpg", b"1"), member])
    assert refusal(archive, target) == f"refused, member 'thing' is a link, a device or a sparse file; {DEREFERENCE}"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip_are_refused(kind, tmp_path, target):
    """A zip holds links as well, in the attributes of its members."""
    archive = zip_file(tmp_path / "links.zip", [("good.jpg", b"1"), (moded("thing", kind | 0o777), b"../../outside")])
    assert refusal(archive, target) == f"refused, member 'thing' is a link, a device or a sparse file; {DEREFERENCE}"


def test_sparse_files_are_refused(tmp_path, target):
    """A sparse file unpacks to far more bytes than pass through the archive."""
    member = tarfile.TarInfo("holes.jpg")
    member.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "0", "GNU.sparse.size": "1000000"}
    member.pax_headers |= {"GNU.sparse.numblocks": "0", "GNU.sparse.map": "0,0"}
    archive = tar_file(tmp_path / "sparse.tar", [member], format=tarfile.PAX_FORMAT)
    assert (
        refusal(archive, target) == f"refused, member 'holes.jpg' is a link, a device or a sparse file; {DEREFERENCE}"
    )


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2", ".tar.xz", ".zip"])
def test_a_bomb_is_stopped_at_the_limit(suffix, tmp_path, target):
    """However small the archive, no more bytes come out than the limit allows; the line names the setting."""
    entries = [(f"{count}.jpg", bytes(3_000_000)) for count in range(4)]
    path = tmp_path / f"bomb{suffix}"
    archive = (
        zip_file(path, entries) if suffix == ".zip" else tar_file(path, entries, compression=f":{path.suffix[1:]}")
    )
    assert archive.stat().st_size < 100_000
    line = refusal(archive, target, Limits(unpacked_gigabytes=0.01))
    assert line == f"refused, member '3.jpg' exceeds the limit of unpacked_gigabytes = 0.01; {RAISE}"
    unpack(archive, target, Limits(unpacked_gigabytes=0.012))
    assert (target / "3.jpg").stat().st_size == 3_000_000


def test_a_bomb_in_one_member_is_stopped_within_it(tmp_path, target, monkeypatch):
    """A single huge file is not written to its end before the limit counts."""
    written = []
    copy = archives._copy
    monkeypatch.setattr(archives, "_copy", lambda *arguments: written.append(copy(*arguments)) or written[-1])
    archive = zip_file(tmp_path / "bomb.zip", [("a.jpg", bytes(10_000_000))])
    assert "exceeds the limit" in refusal(archive, target, Limits(unpacked_gigabytes=0.001))
    assert 1_000_000 < written[0] <= 1_000_000 + archives.CHUNK


@pytest.mark.parametrize("write", [tar_file, zip_file])
def test_too_many_members_are_refused(write, tmp_path, target):
    """The number of files and folders has a limit too; folders that only paths name count, and so do repeated ones."""
    archive = write(tmp_path / f"many.{write.__name__[:3]}", [(f"{count}.jpg", b"") for count in range(5)])
    assert (
        refusal(archive, target, Limits(files=4)) == f"refused, member '4.jpg' exceeds the limit of files = 4; {RAISE}"
    )
    deep = write(tmp_path / f"deep.{write.__name__[:3]}", [("a/b/c/d.jpg", b"")])
    assert "exceeds the limit of files = 3" in refusal(deep, target, Limits(files=3))
    unpack(archive, target, Limits(files=5))
    again = tar_file(tmp_path / "again.tar", [special("a", tarfile.DIRTYPE)] * 5)
    assert "exceeds the limit of files = 4" in refusal(again, target, Limits(files=4))


def test_overlapping_members_are_refused(tmp_path, target):
    """A zip whose members share their bytes, as bombs of many gigabytes in a few kilobytes do, is refused at once."""
    archive = zip_file(
        tmp_path / "overlap.zip", [(f"{count}.jpg", b"same" * 300) for count in range(9)], zipfile.ZIP_STORED
    )
    packed = bytearray(archive.read_bytes())
    kernel = packed[: 30 + 5 + 1200]
    directory = packed[packed.index(b"PK\x01\x02") :]
    for at in [found.start() for found in re.finditer(b"PK\x01\x02", directory)]:
        struct.pack_into("<L", directory, at + 42, 0)  # every member begins at the first one's place
    end = directory.index(b"PK\x05\x06")
    struct.pack_into("<L", directory, end + 16, len(kernel))
    archive.write_bytes(kernel + directory)
    assert refusal(archive, target) == (
        "damaged, incomplete or no .zip archive (its members overlap); fetch or pack it again, or correct its suffix"
    )


@pytest.mark.parametrize("field", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_huge_header_does_not_fill_the_memory(field, tmp_path, target):
    """A header may name any length; one beyond reason is refused before it is read."""
    header = special("header", field)
    header.size = 40_000_000
    archive = tar_file(tmp_path / "header.tar.gz", [header], compression=":gz")
    assert "(it has a header of absurd size)" in refusal(archive, target)


def test_endless_headers_are_refused(tmp_path, target):
    """A chain of headers that describe headers gives a line, not a RecursionError."""
    header = special("header", tarfile.GNUTYPE_LONGNAME)
    header.size = 5
    archive = tar_file(tmp_path / "chain.tar", [header] * 2000)
    assert refusal(archive, target).startswith("damaged, incomplete or no .tar archive (")


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_a_member_longer_than_any_disk_is_refused(suffix, tmp_path, target):
    """Its end lies where no number of the system leads to."""
    info = tarfile.TarInfo("one.jpg")
    info.size = 2**80
    archive = tmp_path / f"a{suffix}"
    with {".tar": open, ".tar.gz": gzip.open, ".tar.bz2": bz2.open, ".tar.xz": lzma.open}[suffix](
        archive, "wb"
    ) as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert "damaged, incomplete or no" in refusal(archive, target)


def test_encrypted_zips_are_refused(tmp_path, target):
    """A zip with a password is refused with a line that says so."""
    archive = zip_file(tmp_path / "secret.zip", [("a.jpg", b"1")])
    packed = bytearray(archive.read_bytes())
    packed[6] |= 1
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(packed)
    assert refusal(archive, target) == "refused, member 'a.jpg' is encrypted; pack again without a password"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zips_that_cannot_be_unpacked_in_pieces_are_refused(method, tmp_path, target):
    """Methods that Python unpacks in one go would fill the memory."""
    archive = zip_file(tmp_path / "rare.zip", [("a.jpg", b"1")], method)
    assert refusal(archive, target) == "refused, member 'a.jpg' is compressed by a rare method; pack again with deflate"


def test_a_zip_that_lies_about_sizes_is_refused(tmp_path, target):
    """A member longer than its header says is neither unpacked in full nor cut short in silence."""
    archive = zip_file(tmp_path / "lie.zip", [("a.jpg", bytes(10_000))])
    archive.write_bytes(archive.read_bytes().replace(struct.pack("<L", 10_000), struct.pack("<L", 10)))
    assert refusal(archive, target).startswith("damaged, incomplete or no .zip archive (Bad CRC-32")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("part", [0, 1, 100, 0.3, 0.6, 0.9])
def test_an_archive_cut_short_is_refused(suffix, part, tmp_path, target):
    """An archive that was not fetched to its end is refused as a whole, wherever it breaks off."""
    archive = good(tmp_path / f"cut{suffix}")
    packed = archive.read_bytes()
    if suffix == ".tar":
        packed = packed[:8192]  # all members; zeros follow
    archive.write_bytes(packed[: part if part >= 1 else int(len(packed) * part)])
    line = refusal(archive, target)
    assert line.startswith(f"damaged, incomplete or no {suffix} archive (")
    assert line.endswith("); fetch or pack it again, or correct its suffix")


def test_a_tar_cut_between_two_members_is_refused(tmp_path, target):
    """A tar file that ends where a member ends looks whole to Python; its end mark is missing."""
    archive = tar_file(tmp_path / "cut.tar", [("a.jpg", bytes(512)), ("b.jpg", b"1")])
    whole = archive.read_bytes()
    for length in (1024, 1124):  # before the header of b.jpg, and within it
        archive.write_bytes(whole[:length])
        assert "(it breaks off)" in refusal(archive, target)
    archive.write_bytes(whole[:1024] + b"\x01" * 512 + whole[1536:])  # a header that is none
    assert "(it breaks off)" in refusal(archive, target)


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2", ".tar.xz", ".zip"])
def test_a_flipped_bit_is_noticed(suffix, tmp_path, target):
    """The checksums that compressed archives carry are checked, up to the very last."""
    archive = tmp_path / f"flipped{suffix}"
    content = bytes(range(256)) * 8
    if suffix == ".zip":
        zip_file(archive, [("a.jpg", content)], zipfile.ZIP_STORED)
    else:
        tar_file(archive, [("a.jpg", content)], compression=f":{archive.suffix[1:]}")
    packed = bytearray(archive.read_bytes())
    packed[-8 if suffix == ".tar.gz" else len(packed) // 2] ^= 1
    archive.write_bytes(packed)
    assert refusal(archive, target).startswith(f"damaged, incomplete or no {suffix} archive (")


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2", ".tar.xz", ".zip"])
def test_overwritten_bytes_are_noticed(suffix, tmp_path, target):
    """A compressed archive whose middle makes no sense gives a line, whatever the decompressor says of it."""
    archive = good(tmp_path / f"garbage{suffix}")
    packed = bytearray(archive.read_bytes())
    start = 50 if suffix == ".zip" else 25  # behind the headers, in the compressed bytes
    packed[start : start + 60] = b"\xff" * 60
    archive.write_bytes(packed)
    assert refusal(archive, target).startswith(f"damaged, incomplete or no {suffix} archive (")


def test_memory_does_not_grow_with_the_number_of_members(tmp_path):
    """Of a tar file with any number of members only the latest is held."""
    archive = tar_file(tmp_path / "many.tar", [(f"{count}.jpg", b"") for count in range(300)])
    gc.collect()
    for name, content in archives._tar_members(archive, archives.OPENERS[".tar"], "utf-8"):
        content.close()
        if name == "299.jpg":
            assert sum(type(thing) is tarfile.TarInfo for thing in gc.get_objects()) < 20


def test_what_follows_the_end_is_refused(tmp_path, target):
    """Two tar files in one, of which programs unpack the first or both, are refused."""
    one = tar_file(tmp_path / "one.tar", [("a.jpg", b"1")]).read_bytes()
    archive = tmp_path / "both.tar"
    archive.write_bytes(one + bytes(archives.CHUNK) + one)
    assert "(it goes on after its end)" in refusal(archive, target)


@pytest.mark.parametrize("truth", [".tar", ".tgz", ".tar.bz2", ".tar.xz", ".zip"])
@pytest.mark.parametrize("name", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip"])
def test_an_archive_of_another_kind_than_its_suffix_is_refused(truth, name, tmp_path, target):
    """A zip named .tar is not unpacked as something else; the line asks for the right suffix."""
    if truth.replace(".tgz", ".tar.gz") == name:
        unpack(good(tmp_path / f"right{name}"), target)
        return
    archive = good(tmp_path / f"truth{truth}").rename(tmp_path / f"named{name}")
    line = refusal(archive, target)
    assert line.startswith(f"damaged, incomplete or no {name} archive (")
    assert line.endswith("; fetch or pack it again, or correct its suffix")


def test_a_missing_archive_is_no_damaged_one(tmp_path, target):
    """What the system says of a file that cannot be read is passed on."""
    assert refusal(tmp_path / "missing.zip", target) == "cannot be unpacked: No such file or directory"


def test_limits_must_be_above_zero():
    """A limit of nothing is a mistake in the settings."""
    with pytest.raises(ValueError, match="unpacked_gigabytes"):
        Limits(unpacked_gigabytes=0)
    with pytest.raises(ValueError, match="files"):
        Limits(files=0)
