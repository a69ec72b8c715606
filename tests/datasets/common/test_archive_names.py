"""Names in archives that do not say how they are encoded: found, or told, and always shown."""

import struct
import tarfile
import zipfile
import zlib

import pytest

from helpers.projects import set_params
from stages import fetch
from stages.datasets.common.archive_names import encoding_of
from stages.datasets.common.archives import unpack
from stages.runtime.errors import UserError


def windows_zip(path, names: dict[bytes, bytes], extra: dict[bytes, bytes] | None = None):
    """Write a zip of (name, content) whose names are bytes that no flag says anything of."""
    ascii_names = {chr(65 + number) * len(name): name for number, name in enumerate(names)}
    with zipfile.ZipFile(path, "w") as zipped:
        for stand_in, name in ascii_names.items():
            info = zipfile.ZipInfo(stand_in)
            info.extra = (extra or {}).get(name, b"")
            zipped.writestr(info, names[name])
    packed = path.read_bytes()
    for stand_in, name in ascii_names.items():
        packed = packed.replace(stand_in.encode(), name)
    path.write_bytes(packed)
    return path


def unpacked(archive, tmp_path, encoding="detect"):
    folder = tmp_path / "unpacked"
    folder.mkdir()
    unpack(archive, folder, name_encoding=encoding)
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


NAMES = {
    "gb18030": ["新建文件夹/麻雀/1.jpg", "新建文件夹/喜鹊/2.jpg", "鸟类/乌鸦/3.jpg"],
    "cp932": ["写真/カラス/表.jpg", "写真/スズメ/ソ.jpg", "犬/001.jpg", "猫/001.jpg"],
    "cp437": ["Vögel/Grünfink/1.jpg", "Vögel/Amsel/2.jpg", "café/3.jpg"],
    "cp866": ["птицы/воробей/1.jpg", "птицы/ворона/2.jpg"],
    "cp949": ["사진/까치/1.jpg", "사진/참새/2.jpg"],
    "utf-8": ["été/blåmes.jpg", "写真/猫.jpg"],
}


@pytest.mark.parametrize(("encoding", "names"), NAMES.items())
def test_names_in_code_pages_of_windows_are_found(encoding, names, tmp_path, capsys):
    """Chinese, Japanese, German, French, Russian, Korean; the encoding and a name are shown. UTF-8 needs no word."""
    archive = windows_zip(tmp_path / "old.zip", {name.encode(encoding): b"1" for name in names})
    assert unpacked(archive, tmp_path) == sorted(names)
    shown = (
        f"{archive}: names taken to be in {encoding}, such as {names[0]!r}; if that is wrong, set"
        " dataset.folder.name_encoding\n"
    )
    assert capsys.readouterr().err == ("" if encoding == "utf-8" else shown)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [("麻雀", "gb18030"), ("花", "gb18030"), ("鳥", "cp932"), ("桜", "cp932"), ("Müller", "cp437"), ("weiß", "cp437")],
)
def test_a_short_name_is_enough(name, encoding):
    """Of the characters that a code page makes of it, common ones are the likelier."""
    assert encoding_of([f"{name}/1.jpg".encode(encoding)], "detect") == encoding


def test_what_is_told_holds(tmp_path, capsys):
    """Where two encodings are as likely, or none is, the person knows; then nothing needs to be shown."""
    archive = windows_zip(tmp_path / "short.zip", {"猫.jpg".encode("gbk"): b"1"})
    assert unpacked(archive, tmp_path, "gbk") == ["猫.jpg"]
    assert capsys.readouterr().err == ""


def test_names_that_are_not_in_what_was_told_are_refused(tmp_path):
    """The line says what can be set."""
    archive = windows_zip(tmp_path / "wrong.zip", {b"a\xff\xff.jpg": b"1"})
    with pytest.raises(UserError) as raised:
        unpacked(archive, tmp_path, "gbk")
    assert raised.value.lines == (
        f"{archive}: refused, member 'a\\udcff\\udcff.jpg' has a name that is not gbk; set dataset.folder.name_encoding"
        " to what names are in (gbk, cp932, cp437, ...), or rename and pack again",
    )


def test_the_name_in_utf_8_beside_the_other_is_taken(tmp_path):
    """Some programs pack it in a field of its own; one that belongs to another name does not count."""

    def field(name: str, of: bytes) -> bytes:
        content = b"\x01" + struct.pack("<L", zlib.crc32(of)) + name.encode()
        return struct.pack("<HH", 0x7075, len(content)) + content

    extra = {b"caf\x82.jpg": field("カフェ.jpg", b"caf\x82.jpg"), b"tee.jpg": field("no.jpg", b"another")}
    archive = windows_zip(tmp_path / "both.zip", dict.fromkeys(extra, b"1"), extra)
    assert unpacked(archive, tmp_path) == ["tee.jpg", "カフェ.jpg"]


def test_backslashes_are_separators_where_no_member_has_a_slash(tmp_path):
    """PowerShell separates folders so, a file on top has none; beside slashes one is refused: who knows its meaning."""
    names = [b"readme.txt", b"birds\\", b"birds\\crow\\1.jpg", b"birds\\jay\\2.jpg"]
    archive = windows_zip(tmp_path / "dot.zip", dict.fromkeys(names, b""))
    assert unpacked(archive, tmp_path) == ["birds/crow/1.jpg", "birds/jay/2.jpg", "readme.txt"]
    archive = windows_zip(tmp_path / "out.zip", {b"birds\\1.jpg": b"1", b"..\\2.jpg": b"2"})
    with pytest.raises(UserError, match=r"member '\.\./2\.jpg' has \.\. in its path"):
        unpack(archive, tmp_path / "unpacked", name_encoding="detect")
    archive = windows_zip(tmp_path / "both.zip", {b"birds/1.jpg": b"1", b"birds\\2.jpg": b"2"})
    with pytest.raises(UserError, match=r"has a backslash in its name"):
        unpack(archive, tmp_path / "unpacked", name_encoding="detect")


def test_a_tar_takes_what_is_told(tmp_path):
    """A tar in an old encoding is refused with the setting's name, and unpacks with it."""
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT, encoding="cp1252") as tar:
        tar.addfile(tarfile.TarInfo("café.jpg"))
    assert unpacked(tmp_path / "a.tar", tmp_path, "cp1252") == ["café.jpg"]
    with pytest.raises(UserError, match=r"has a name that is not UTF-8; set dataset\.folder\.name_encoding"):
        unpack(tmp_path / "a.tar", tmp_path / "unpacked", name_encoding="detect")


def test_a_study_of_such_an_archive_has_its_classes(project, capsys):
    """From the archive to data/raw; an encoding that is none is one line."""
    names = [f"鸟/{name}/{number}.jpg".encode("gbk") for name in ("麻雀", "乌鸦") for number in range(2)]
    windows_zip(project / "mine.zip", dict.fromkeys(names, b"1"))
    set_params(project, dataset__source="folder", dataset__classes="all", dataset__folder__path="mine.zip")
    fetch.main()
    assert sorted(path.name for path in (project / "data/raw").iterdir()) == ["乌鸦", "麻雀"]
    assert "mine.zip: names taken to be in gb18030, such as '鸟/麻雀/0.jpg'" in capsys.readouterr().err
    for wrong in ("klingon", "rot13", "base64"):
        set_params(project, dataset__folder__name_encoding=wrong)
        with pytest.raises(UserError, match=f"name_encoding = '{wrong}' is not allowed: must be detect or a text"):
            fetch.main()
