"""Which files are pictures: the same ones wherever pictures are looked for."""

from PIL import Image

from presample.models.metrics.features import find_pictures, open_picture
from presample.models.metrics.pairwise import find_pairs
from presample.models.mmh_dit.data.sources import find
from presample.models.pictures import FORMATS, SUFFIXES


def test_the_suffixes_are_those_of_the_formats_that_are_read():
    formats = {suffix: Image.registered_extensions()[suffix] for suffix in SUFFIXES}
    assert set(formats.values()) == set(FORMATS)


def test_every_command_finds_the_same_pictures(tmp_path):
    folders = tmp_path / "ours", tmp_path / "theirs"
    for folder in folders:
        folder.mkdir()
        (folder / "notes.gif").write_bytes(b"GIF89a")
        for suffix in SUFFIXES:
            Image.new("RGB", (8, 8), "teal").save(folder / f"in {suffix[1:]}{suffix}")
    scored = find_pictures(folders[0])
    assert {path.suffix for path in scored} == set(SUFFIXES)
    assert [open_picture(path).size for path in scored] == [(8, 8)] * len(SUFFIXES)
    pairs, alone = find_pairs(*folders)
    assert ([pair.a for pair in pairs], alone) == (scored, [])
    problems = []
    read = find([folders[0]], on_problem=lambda key, why: problems.append(key))
    assert [item.key for item in read] == [path.name for path in scored]
    assert problems == ["notes.gif"]
