"""Which files of those that a person names are looked at."""

from pathlib import Path

from stages.prediction import inputs
from stages.prediction.inputs import chunks_of, files_in


def test_of_a_folder_images_alone_are_taken_in_order(tmp_path):
    """Hidden ones are not, linked folders are, but not round in circles; a file that is named twice is one."""
    for name in ("b/2.png", "b/1.JPG", "a.webp", "notes.txt", ".hidden/3.png", "b/.4.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/5.png").touch()
    folder = tmp_path / "named"
    folder.mkdir()
    for name in ("b", "a.webp", ".hidden", "elsewhere"):
        (folder / name).symlink_to(tmp_path / name)
    (folder / "round").symlink_to(folder)
    found = files_in([str(folder), str(folder / "a.webp"), str(tmp_path / "notes.txt")])
    relative = [Path(file).relative_to(tmp_path).as_posix() for file in found]
    assert relative == ["named/a.webp", "named/b/1.JPG", "named/b/2.png", "named/elsewhere/5.png", "notes.txt"]


def test_chunks_are_read_ahead_in_order_and_no_further_than_needed(monkeypatch):
    """Of a million photographs a few are in memory."""
    monkeypatch.setattr(inputs, "CHUNK", 4)
    read: list[str] = []
    monkeypatch.setattr(inputs, "image_in", lambda path, _: read.append(path) or path)
    chunks = chunks_of(map(str, range(100)), None)
    assert next(chunks) == [(str(number), str(number)) for number in range(4)]
    chunks.close()
    assert len(read) <= 4 * (inputs.PREFETCHED + 1)
