"""Pictures and captions are found in folders and shards; what is broken or hostile is named and left out."""

import json
import os
import tarfile

import pytest
from pictures_for_tests import encoded, folder_of, picture, shard_of

from presample.models.mmh_dit.data import sources
from presample.models.mmh_dit.data.images import read_bytes
from presample.models.mmh_dit.data.sources import captions_of, find

pytest.importorskip("PIL", reason="pictures need presample[data]")


def found(*sources, **how):
    problems = []
    items = list(find(list(sources), on_problem=lambda key, why: problems.append((key, why)), **how))
    return items, problems


def captions(items):
    return {item.key: item.captions for item in items}


def test_a_folder_is_walked_in_the_order_of_names_with_captions_beside(tmp_path):
    for name in ("b/2.jpg", "b/10.PNG", "a.webp", "b/c/1.bmp", "b/c/2.jfif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "b/2.txt").write_text("\ufeffa  cat\n on a mat \n", encoding="utf-8")
    (tmp_path / "b/10.txt").write_text(" \n", encoding="utf-8")  # says nothing, so the next one speaks
    (tmp_path / "b/10.json").write_text('{"caption": ["one", "two"]}', encoding="utf-8")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/3.jpg").write_bytes(b"x")
    items, problems = found(tmp_path)
    assert captions(items) == {
        "a.webp": (),
        "b/10.PNG": ("one", "two"),
        "b/2.jpg": ("a cat on a mat",),
        "b/c/1.bmp": (),
        "b/c/2.jfif": (),
    }
    assert list(captions(items)) == ["a.webp", "b/10.PNG", "b/2.jpg", "b/c/1.bmp", "b/c/2.jfif"]
    assert problems == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "metadata.jsonl",
            '{"file_name": "sub/1.jpg", "text": "one"}\n{"file_name": "2.jpg", "text": "two"}\n',
        ),
        (
            "metadata.json",
            '[{"file_name": "sub/1.jpg", "text": "one"}, {"file_name": "2.jpg", "text": "two"}]',
        ),
        ("metadata.json", '{"sub/1.jpg": "one", "2.jpg": {"caption": "two"}}'),
    ],
)
def test_a_file_of_metadata_names_pictures_below_it(tmp_path, name, content):
    (tmp_path / "sub").mkdir()
    for picture_name in ("sub/1.jpg", "2.jpg"):
        (tmp_path / picture_name).write_bytes(b"x")
    (tmp_path / name).write_text(content, encoding="utf-8")
    items, problems = found(tmp_path)
    assert captions(items) == {"2.jpg": ("two",), "sub/1.jpg": ("one",)}
    assert problems == []


def test_pictures_that_are_not_read_are_named_and_other_files_passed_over(tmp_path):
    for name in ("a.gif", "b.tar.gz", "notes.txt", "readme.md", ".c.gif"):
        (tmp_path / name).write_bytes(b"x")
    shard_of(tmp_path / "s.tar", [("1.avif", b"x"), ("1.txt", b"one")])
    items, problems = found(tmp_path)
    assert items == []
    assert dict(problems) == {
        "a.gif": "a format that is not read",
        "b.tar.gz": "a compressed shard: unpack it to .tar",
        "s.tar/1.avif": "a sample without a picture that is read",
    }


def test_broken_lines_of_metadata_are_named_and_the_others_used(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"x")
    good = json.dumps({"file_name": "1.jpg", "mine": "seen", "text": "not this"})
    half = json.dumps({"file_name": "1.jpg", "mine": "\ud800"})
    outside = json.dumps({"file_name": "../../etc/passwd", "mine": "x"})
    (tmp_path / "metadata.jsonl").write_text(
        f'{{"no\n[1]\n{outside}\n{good}\n{{"file_name": 3}}\n{"9" * 5000}\n{half}\n'
    )
    items, problems = found(tmp_path, field="mine")
    assert captions(items) == {"1.jpg": ("seen",)}
    assert [key for key, _ in problems] == [
        "metadata.jsonl:1",
        "metadata.jsonl:2",
        *(f"metadata.jsonl:{i}" for i in (5, 6, 7)),
    ]


@pytest.mark.parametrize(
    ("data", "suffix", "why"),
    [
        (b"\xff\xfe\x00", ".txt", "UTF-8"),
        (b"{", ".json", "JSON"),
        (b"[" * 100_000, ".json", "JSON"),
        (b'{"caption": "\\ud800"}', ".json", "UTF-8"),
        (b"9" * 5000, ".json", "digits"),
        (b'{"caption": 3}', ".json", "no text"),
        (b'{"caption": [3]}', ".json", "no text"),
        (b"x" * (1 << 20) + b"x", ".txt", "1 MiB"),
    ],
)
def test_a_broken_caption_says_why(tmp_path, data, suffix, why):
    with pytest.raises(ValueError, match=why):
        captions_of(data, suffix)
    (tmp_path / "1.jpg").write_bytes(b"x")
    (tmp_path / "1").with_suffix(suffix).write_bytes(data)
    items, problems = found(tmp_path)
    assert items == []
    assert problems[0][0] == "1.jpg"
    assert why in problems[0][1]


def test_links_that_leave_the_folder_are_not_followed(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    root = tmp_path / "data"
    root.mkdir()
    (root / "real.jpg").write_bytes(b"x")
    try:
        os.symlink("../secret.jpg", root / "out.jpg")
        os.symlink("../secret.txt", root / "real.txt")
        os.symlink("real.jpg", root / "within.jpg")
        os.symlink("..", root / "more", target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    items, problems = found(root)
    assert captions(items) == {"real.jpg": (), "within.jpg": ()}
    assert problems == [
        ("more", "a linked folder: give it as a source"),
        ("out.jpg", "a link that leaves its folder"),
    ]


def test_metadata_that_is_no_plain_file_is_named_and_stops_nothing(tmp_path):
    (tmp_path / "secret.jsonl").write_text('{"file_name": "1.jpg", "text": "secret"}')
    root = tmp_path / "data"
    for name, target in (("dangling", "nothing"), ("leaving", "../../secret.jsonl"), ("plain", None)):
        (root / name).mkdir(parents=True)
        (root / name / "1.jpg").write_bytes(b"x")
        try:
            os.symlink(target or "1.jpg", root / name / "metadata.jsonl")
        except OSError:
            pytest.skip("this system makes no links")
    items, problems = found(root)
    assert captions(items) == {f"{name}/1.jpg": () for name in ("dangling", "leaving", "plain")}
    no_file = "no plain file of its folder"
    assert problems == [
        ("dangling/metadata.jsonl", no_file),
        ("leaving/metadata.jsonl", no_file),
        ("plain/metadata.jsonl:1", "a record that is no JSON object with a file_name"),
    ]


def test_captions_that_one_may_not_read_are_named_and_stop_nothing(tmp_path, monkeypatch):
    folder_of(tmp_path / "a", 2)
    (tmp_path / "metadata.jsonl").write_text("{}")

    def refused(path, *how, **more):
        if path.name in ("000.txt", "metadata.jsonl"):
            raise PermissionError(13, "Permission denied", str(path))
        return open(path, *how, **more)

    monkeypatch.setattr(sources, "open", refused, raising=False)
    items, problems = found(tmp_path)
    assert captions(items) == {"a/001.png": ("picture 1",)}
    assert problems == [
        ("metadata.jsonl", "cannot be read: Permission denied"),
        ("a/000.png", "a caption that cannot be read: Permission denied"),
    ]


def test_a_shard_is_read_as_webdataset_reads_it(tmp_path):
    data = encoded(picture())
    members = [
        ("x/1.jpg", data),
        ("x/1.txt", b"one"),
        ("x/2.seg.png", b"no picture of a sample"),
        ("x/2.png", data + b"!"),
        ("x/2.json", b'{"text": "two"}'),
        ("y/1.JPG", b"late"),
    ]
    path = shard_of(tmp_path / "00000.tar", members)
    items, problems = found(path)
    assert captions(items) == {
        "00000.tar/x/1.jpg": ("one",),
        "00000.tar/x/2.png": ("two",),
        "00000.tar/y/1.JPG": (),
    }
    assert problems == []
    assert [read_bytes(item, [tmp_path]) for item in items] == [data, data + b"!", b"late"]
    assert captions(found(tmp_path)[0]) == captions(items), "a folder of shards is a source, too"


def test_webdataset_itself_groups_a_shard_the_same_way(tmp_path):
    wds = pytest.importorskip("webdataset", reason="webdataset is what ours is compared with")
    with wds.TarWriter(str(tmp_path / "0.tar")) as writer:
        for i in range(5):
            writer.write({"__key__": f"d.x/k{i}", "jpg": b"j%d" % i, "txt": f"t {i}", "cls": i})
    theirs = {
        s["__key__"]: (s["jpg"], s["txt"].decode())
        for s in wds.WebDataset(str(tmp_path / "0.tar"), shardshuffle=False)
    }
    items, _ = found(tmp_path / "0.tar")
    ours = {
        i.key.removeprefix("0.tar/").removesuffix(".jpg"): (read_bytes(i, [tmp_path]), i.captions[0])
        for i in items
    }
    assert ours == theirs
    assert len(ours) == 5


def test_hostile_members_of_a_shard_are_named_and_nothing_is_unpacked(tmp_path):
    link, device, hard = tarfile.TarInfo("a.jpg"), tarfile.TarInfo("b.jpg"), tarfile.TarInfo("c.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device.type = tarfile.CHRTYPE
    hard.type, hard.linkname = tarfile.LNKTYPE, "../outside"
    members = [
        (link, b""),
        (device, b""),
        (hard, b""),
        ("../../up.jpg", b"x"),
        ("/root.jpg", b"x"),
        ("ok.jpg", b"x"),
    ]
    inside = tmp_path / "in"
    inside.mkdir()
    items, problems = found(shard_of(inside / "s.tar", members))
    assert [item.key for item in items] == ["s.tar/ok.jpg"]
    assert [why for _, why in problems] == ["no plain file"] * 3 + ["a name that leaves its folder"] * 2
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "s.tar"]


def test_a_shard_that_ends_early_gives_what_it_has(tmp_path):
    whole = shard_of(tmp_path / "whole.tar", [("1.jpg", b"x" * 600), ("2.jpg", b"y" * 600)]).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: 512 + 1024 + 512 + 100])
    (tmp_path / "none.tar").write_bytes(b"this is no tar" * 100)
    items, problems = found(tmp_path / "cut.tar", tmp_path / "none.tar")
    assert items[0].key == "0/cut.tar/1.jpg"
    assert read_bytes(items[0], [tmp_path]) == b"x" * 600
    assert {key for key, _ in problems} >= {"1/none.tar"}


def header(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def block(data):
    return data.ljust(512, b"\0")


LONG = tarfile.GNUTYPE_LONGNAME


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        (header("l", 2**62, LONG), "a header of 4611686018427387904 bytes"),
        (header("x", 2**62, tarfile.XHDTYPE), "a header of 4611686018427387904 bytes"),
        (header("g", 2**40, tarfile.XGLTYPE), "a header of 1099511627776 bytes"),
        ((header("l", 4, LONG) + block(b"name")) * 1500, "recursion"),
        (header("2.jpg", 2**80) + block(b"x"), "ends early"),
    ],
    ids=["long name", "pax", "global pax", "1500 long names", "far away"],
)
def test_a_shard_with_headers_that_lie_is_named_and_the_others_are_read(tmp_path, headers, why):
    start = b"".join(header(name, 1) + block(b"x") for name in ("1.jpg", "2.jpg"))
    (tmp_path / "0.tar").write_bytes(start + headers + bytes(1024))
    shard_of(tmp_path / "1.tar", [("1.jpg", b"x")])
    items, problems = found(tmp_path)
    assert [item.key for item in items if item.key != "0.tar/2.jpg"] == ["0.tar/1.jpg", "1.tar/1.jpg"]
    ((key, said),) = problems
    assert key == "0.tar"
    assert why in said


def test_a_shard_that_leads_back_to_its_own_header_ends(tmp_path):
    start = header("1.jpg", 1) + block(b"x")
    back = header("p", 14, tarfile.XHDTYPE) + block(b"14 size=-1536\n") + header("2.jpg", 1) + block(b"x")
    (tmp_path / "0.tar").write_bytes(start + back + bytes(1024))
    items, problems = found(tmp_path)
    assert len(items) + len(problems) == 1


def test_a_source_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"a folder or a \.tar"):
        found(tmp_path / "nobody")


def test_several_sources_have_keys_of_their_own(tmp_path):
    items, _ = found(folder_of(tmp_path / "a", 1), folder_of(tmp_path / "b", 1))
    assert [(item.key, item.source) for item in items] == [("0/000.png", 0), ("1/000.png", 1)]
