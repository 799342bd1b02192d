"""Prompt Batch: typed prompts and files of ComfyUI's input folder, and no other file."""

import pytest

BATCH = "PresamplePromptBatch"


@pytest.fixture
def file(comfy):
    path = comfy.base / "input" / "list.txt"
    path.write_bytes("\ufeffforest\r\ncity, rain\r\n".encode())
    yield path.name
    path.unlink()


def test_every_line_is_a_prompt_and_files_come_behind(nodes, file):
    assert nodes[BATCH].execute("lake\n\nnight ").args == (["lake", "night"], 2)
    assert nodes[BATCH].execute("lake", file=file).args[0] == ["lake", "forest", "city, rain"]
    assert nodes[BATCH].execute("a\nb\n\nc", separator="blank lines").args[0] == ["a\nb", "c"]
    assert nodes[BATCH].execute("a\nb\nc", start=1, count=1).args[0] == ["b"]


def test_files_are_picked_from_the_list_only(nodes, file, comfy):
    (comfy.base / "secret.txt").write_text("x", encoding="utf-8")
    options = next(each for each in nodes[BATCH].GET_SCHEMA().inputs if each.id == "file").facts["options"]
    assert options == ["none", file]
    for name in ("../secret.txt", str(comfy.base / "secret.txt"), "", "list"):
        assert "must be a .txt file" in nodes[BATCH].validate_inputs(file=name)
        with pytest.raises(ValueError, match=r"must be a \.txt file"):
            nodes[BATCH].execute("lake", file=name)
    assert nodes[BATCH].validate_inputs(file=file) is True


def test_what_cannot_be_read_is_named(nodes, comfy):
    path = comfy.base / "input" / "bad.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="must be UTF-8"):
        nodes[BATCH].execute("", file="bad.txt")
    path.unlink()
    with pytest.raises(ValueError, match="at least one prompt"):
        nodes[BATCH].execute(" \n")


def test_a_changed_file_runs_again(nodes, file, comfy):
    before = nodes[BATCH].fingerprint_inputs(file=file, start=0)
    assert before == nodes[BATCH].fingerprint_inputs(file=file, start=0)
    path = comfy.base / "input" / file
    path.write_text("other", encoding="utf-8")
    assert before != nodes[BATCH].fingerprint_inputs(file=file, start=0)


def test_a_file_from_another_node_is_looked_at_when_it_is_known(nodes, file):
    assert nodes[BATCH].validate_inputs(file=None) is True  # as ComfyUI says of a linked input
    assert nodes[BATCH].fingerprint_inputs(file=None, start=0) == (None, 0, ("start", "0"))
