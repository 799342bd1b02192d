"""The work folder: items in parts, parts in one move, and a run that can be killed at any moment."""

import os
import sys

import pytest
import torch
from pictures_for_tests import folder_of, lines

from presample.models.files import alone, fingerprint
from presample.models.mmh_dit.data import steps
from presample.models.mmh_dit.data.images import LeftOut, read_bytes
from presample.models.mmh_dit.data.steps import Candidate, run
from presample.models.mmh_dit.data.work import Folder, Made, NotReady, Work, scan

pytest.importorskip("PIL", reason="pictures need presample[data]")
COUNT = 75


@pytest.fixture
def work(tmp_path):
    root = tmp_path / "pictures"
    root.mkdir()
    for i in range(COUNT):
        (root / f"{i:03d}.jpg").write_bytes(b"x")
        (root / f"{i:03d}.txt").write_text(f"picture {i}")
    return scan([root], tmp_path / "work", part=20)


class Lengths:
    """A step that needs no model: the length of every key; every seventh item is left out."""

    def __init__(self, work, *, killed_after=10**9):
        self.reader, self.work, self.left = self, work, killed_after

    def candidates(self, part):
        items = self.work.items(part)
        return [Candidate(i, item) for i, item in enumerate(items) if i], {"first": [items[0].key]}

    def read(self, candidate):
        if int(candidate.item.key[:3]) % 7 == 0:
            raise LeftOut("a seventh")
        return candidate.item.key

    def compute(self, read):
        self.left -= len(read)
        if self.left < 0:
            raise KeyboardInterrupt
        return [float(key[:3]) for key in read]

    def pack(self, done):
        return {"values": torch.tensor([value for _, value in done])}, {"keys": [w.item.key for w, _ in done]}


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.path.glob("*.safetensors"))}


def test_items_are_listed_once_in_parts(work):
    assert work.count == COUNT
    assert [len(work.items(part)) for part in work.parts] == [20, 20, 20, 15]
    assert [item.key for part in work.parts for item in work.items(part)] == [
        f"{i:03d}.jpg" for i in range(COUNT)
    ]


def test_a_folder_that_is_listed_is_kept_and_other_sources_are_refused(work, tmp_path, caplog):
    before = (work.folder / "items" / "000000.jsonl").stat().st_mtime_ns
    with caplog.at_level("INFO", logger="presample"):
        assert scan([tmp_path / "pictures"], work.folder, part=20).count == COUNT
    assert "were not looked at again" in caplog.text
    assert (work.folder / "items" / "000000.jsonl").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match=r"part_length 20, now 10"):
        scan([tmp_path / "pictures"], work.folder, part=10)
    with pytest.raises(NotReady, match="presample data scan"):
        _ = Work(tmp_path / "nothing").count


def test_pictures_without_caption_are_named_or_kept(tmp_path):
    root = folder_of(tmp_path / "p", 3)
    (root / "001.txt").unlink()
    work = scan([root], tmp_path / "w")
    assert work.facts["left_out"] == {"no caption": 1}
    assert lines(work.folder / "problems.jsonl") == [{"key": "001.png", "why": "no caption"}]
    assert scan([root], tmp_path / "w2", uncaptioned=True).count == 3


@pytest.mark.skipif(sys.platform != "linux", reason="only there may file names be any bytes")
def test_file_names_that_are_no_text_are_kept_whole(tmp_path):
    root = folder_of(tmp_path / "p", 2)
    os.rename(os.fsencode(root / "000.png"), os.fsencode(root) + b"/\xff\xe9.png")
    os.rename(os.fsencode(root / "000.txt"), os.fsencode(root) + b"/\xff\xe9.txt")
    os.rename(os.fsencode(root / "001.png"), os.fsencode(root) + b"/\xe9 silent.png")
    work = scan([root], tmp_path / "w")
    (item,) = work.items(0)
    assert os.fsencode(item.key) == b"\xff\xe9.png"
    assert read_bytes(item, work.roots)
    assert lines(tmp_path / "w" / "problems.jsonl")[0]["key"] == os.fsdecode(b"\xe9 silent.png")
    folder = Folder(tmp_path / "w" / "x")
    folder.open({})
    folder.write(0, Made({}, {"keys": [item.key]}, {"why": [item.key]}))
    assert folder.told(0) == ({"keys": [item.key]}, {"why": [item.key]})


def test_a_folder_without_pictures_is_an_error_and_no_work_folder(tmp_path):
    (tmp_path / "p").mkdir()
    with pytest.raises(ValueError, match="none was found"):
        scan([tmp_path / "p"], tmp_path / "w")
    with pytest.raises(NotReady):
        _ = Work(tmp_path / "w").count


def test_a_step_keeps_or_names_every_item(work):
    folder = Folder(work.folder / "lengths")
    run(lambda: Lengths(work), work, folder, settings={"a": 1})
    seen = []
    for part in work.parts:
        made = folder.read(part)
        assert made.tensors["values"].tolist() == [float(key[:3]) for key in made.facts["keys"]]
        assert made.facts["keys"] == sorted(made.facts["keys"])
        seen += made.facts["keys"] + [key for keys in made.left_out.values() for key in keys]
    assert sorted(seen) == [f"{i:03d}.jpg" for i in range(COUNT)]
    assert folder.told(0)[1]["first"] == ["000.jpg"]
    assert folder.complete(work)


@pytest.mark.parametrize("killed_after", [0, 15, 17, 33, 34, 60])
def test_a_run_that_was_killed_goes_on_and_ends_as_if_it_had_not_been(work, killed_after):
    whole, folder = Folder(work.folder / "whole"), Folder(work.folder / "killed")
    run(lambda: Lengths(work), work, whole, settings={})
    with pytest.raises(KeyboardInterrupt):
        run(lambda: Lengths(work, killed_after=killed_after), work, folder, settings={})
    done = contents(folder)
    assert len(done) < 4
    times = {name: (folder.path / name).stat().st_mtime_ns for name in done}
    run(lambda: Lengths(work), work, folder, settings={})
    assert contents(folder) == contents(whole)
    assert {name: (folder.path / name).stat().st_mtime_ns for name in done} == times, "nothing is done twice"


def test_a_kill_while_a_part_is_written_leaves_no_part(work, monkeypatch):
    folder = Folder(work.folder / "x")
    folder.open({})

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            folder.write(0, Made({"values": torch.ones(3)}, {}, {}))
    assert folder.missing(work.parts) == [0, 1, 2, 3]
    run(lambda: Lengths(work), work, folder, settings={})
    assert folder.complete(work)
    assert not list(folder.path.glob("*.part"))


def test_worker_processes_change_nothing(work):
    alone_, helped = Folder(work.folder / "a"), Folder(work.folder / "b")
    run(lambda: Lengths(work), work, alone_, settings={})
    run(lambda: Lengths(work), work, helped, settings={}, workers=2)
    assert contents(alone_) == contents(helped)


def test_other_settings_and_a_second_program_are_refused(work):
    folder = Folder(work.folder / "x")
    run(lambda: Lengths(work), work, folder, settings={"model": "a", "sizes": [(1, 2)]})
    run(lambda: Lengths(work), work, folder, settings={"model": "a", "sizes": [(1, 2)]})
    with pytest.raises(ValueError, match=r"model 'a', now 'b'; choose another folder"):
        run(lambda: Lengths(work), work, folder, settings={"model": "b", "sizes": [(1, 2)]})
    with alone(folder.path), pytest.raises(ValueError, match="another program"):
        run(lambda: Lengths(work), work, folder, settings={"model": "a", "sizes": [(1, 2)]})


def test_chunks_do_not_outgrow_their_size(work):
    sizes = []

    class Watched(Lengths):
        def compute(self, read):
            sizes.append(len(read))
            return super().compute(read)

    run(lambda: Watched(work), work, Folder(work.folder / "x"), settings={})
    assert max(sizes) <= steps.CHUNK


def test_a_fingerprint_follows_names_sizes_and_content(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    first = fingerprint(tmp_path)
    assert fingerprint(tmp_path) == first
    (tmp_path / "a").write_bytes(b"two")
    assert fingerprint(tmp_path) != first
    with pytest.raises(FileNotFoundError):
        fingerprint(tmp_path / "gone")


def test_files_that_differ_in_their_middle_alone_have_other_fingerprints(tmp_path):
    for name, at in (("a", None), ("b", 2_500_000), ("c", 3_999_999)):
        data = bytearray(4_000_000)
        if at:
            data[at] = 1
        (tmp_path / name).mkdir()
        (tmp_path / name / "model").write_bytes(data)
    assert len({fingerprint(tmp_path / name) for name in "abc"}) == 3
