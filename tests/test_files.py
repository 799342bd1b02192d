"""Files are there whole or not at all, whoever else writes them and whatever goes wrong."""

import contextlib
import json
import os
import struct

import pytest

from presample.models.files import (
    alone,
    check_same,
    locked,
    read_json,
    tensor_names,
    write_json,
    write_text,
    written,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_gets_its_name_when_it_is_whole_and_its_folder_is_made(tmp_path):
    path = tmp_path / "new" / "model.safetensors"
    with written(path) as half:
        half.write_text("half")
        half.chmod(0o600)
        assert names(path.parent) == [half.name] != [path.name]
    assert names(path.parent) == [path.name]
    assert path.read_text() == "half"
    assert os.name == "nt" or path.stat().st_mode & 0o777 == 0o644


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "facts.json"
    write_text(path, "old")
    with pytest.raises(TypeError), written(path) as half, open(half, "w") as file:
        file.writelines(["ne", 1])
    with pytest.raises(FileNotFoundError), written(path):
        pass  # nothing was written
    assert names(tmp_path) == ["facts.json"]
    assert path.read_text() == "old"


def test_programs_that_write_a_file_at_once_do_not_write_into_each_other(tmp_path, monkeypatch):
    path = tmp_path / "pictures.safetensors"
    with written(path) as ours:
        ours.write_text("ours")
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with written(path) as theirs:
            theirs.write_text("their")
        assert path.read_text() == "their"
    assert path.read_text() == "ours"
    assert names(tmp_path) == [path.name]


def test_json_may_begin_with_the_mark_of_an_editor_and_must_be_utf_8(tmp_path):
    path = tmp_path / "facts.json"
    path.write_text('{"a": "é"}', encoding="utf-8-sig")
    assert read_json(path) == {"a": "é"}
    path.write_text('{"a": "é"}', encoding="latin-1")
    with pytest.raises(ValueError, match=r"facts\.json must be UTF-8 text"):
        read_json(path)


def test_of_settings_only_what_differs_is_told(tmp_path):
    made = {"seed": 3, "options": {"ban": "boat", "seed": 0, "deep": {"a": 1}}, "texts": ["a"]}
    write_json(tmp_path / "settings.json", made)
    check_same(tmp_path / "settings.json", made)
    asked = {**made, "options": {"ban": "boat", "seed": 3, "deep": {"a": 2}, "new": True}, "texts": ["b"]}
    with pytest.raises(ValueError, match="was made with") as caught:
        check_same(tmp_path / "settings.json", asked)
    said = str(caught.value).partition("was made with ")[2].partition(";")[0]
    assert said == (
        "options.seed 0, now 3, options.deep.a 1, now 2, options.new None, now True, texts ['a'], now ['b']"
    )


def test_the_names_of_tensors_are_read_of_a_header_and_nothing_else_has_any(tmp_path):
    facts = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({"edm_mean": facts, "edm_std": facts, "__metadata__": {"format": "pt"}}).encode()
    whole = struct.pack("<Q", len(header)) + header
    path = tmp_path / "model.safetensors"
    path.write_bytes(whole)
    assert sorted(tensor_names(path)) == ["edm_mean", "edm_std"]
    for broken in (b"", b"\xff" * 64, struct.pack("<Q", 3) + b"{]}", whole[:-1]):
        path.write_bytes(broken)
        assert tensor_names(path) == ()
    assert tensor_names(tmp_path / "nowhere.safetensors") == ()
    other = tmp_path / "model.ckpt"
    other.write_bytes(whole)
    assert tensor_names(other) == ()


def test_a_folder_is_one_programs_until_that_ends(tmp_path):
    with alone(tmp_path), pytest.raises(ValueError, match="another program is at work"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass


def test_a_lock_that_is_removed_leaves_no_file_whatever_goes_wrong(tmp_path):
    for error in (None, RuntimeError):
        with contextlib.suppress(RuntimeError), locked(tmp_path / "x.lock", ValueError(), remove=True):
            if error:
                raise error
        assert names(tmp_path) == [] or os.name == "nt"


def test_a_disk_without_locks_keeps_nobody_out_and_passes_errors_on(tmp_path, monkeypatch):
    def acquire(*args, **how):
        raise NotImplementedError("no flock here")

    monkeypatch.setattr("filelock.FileLock.acquire", acquire)
    with alone(tmp_path), alone(tmp_path):
        pass
    with pytest.raises(KeyError), alone(tmp_path):
        raise KeyError
