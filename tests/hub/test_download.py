"""Downloads from a stand-in hub: whole, resumed, damaged, stopped, without room and without a connection."""

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from presample.models import hub, transfer
from presample.models.fetching import download
from presample.models.published.tipo import KnownFile, KnownModel, known_model
from presample.models.transfer import DownloadError, DownloadStopped

SIZE = 300_000
CONTENT = bytes(i * i % 251 for i in range(SIZE))
SHA256 = hashlib.sha256(CONTENT).hexdigest()

GGUF = KnownFile("TIPO-200M-F16.gguf", "TIPO-200M_TIPO-200M-F16.gguf", SIZE)
MODEL = KnownModel("TIPO-200M", "KBlueLeaf/TIPO-200M", "llama", 1, 1024, "Apache-2.0", gguf=(GGUF,))
REMOTE = transfer.Remote(GGUF.name, "", SIZE, SHA256)


@pytest.fixture
def standin(standin):
    """The stand-in hub, holding one GGUF file."""
    standin.files[GGUF.path] = CONTENT
    return standin


def test_a_download_arrives_verified_under_kgens_name_and_is_found(standin, tmp_path):
    calls = []
    path = download(MODEL, tmp_path / "new", progress=lambda *call: calls.append(call))
    assert path == tmp_path / "new" / "TIPO-200M_TIPO-200M-F16.gguf"
    assert path.read_bytes() == CONTENT
    assert os.listdir(tmp_path / "new") == [path.name]
    assert calls[0] == (GGUF.path, 0, SIZE)
    assert calls[-1] == (GGUF.path, SIZE, SIZE)
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)
    assert hub.resolve("TIPO-200M", [tmp_path / "new"]) == path
    assert standin.heads == ["/KBlueLeaf/TIPO-200M/resolve/main/TIPO-200M-F16.gguf"]


def test_the_token_goes_to_the_hub_and_not_to_the_storage_it_points_to(standin, tmp_path):
    download(MODEL, tmp_path)
    assert set(standin.tokens) == {("hub", "Bearer hf_secret"), ("storage", None)}


def test_a_repository_that_moved_is_followed_with_the_token(standin, tmp_path):
    standin.moved = True
    assert download(MODEL, tmp_path).read_bytes() == CONTENT
    assert standin.heads[-1] == "/KBlueLeaf/new-name/resolve/main/TIPO-200M-F16.gguf"
    assert standin.tokens[:2] == [("hub", "Bearer hf_secret")] * 2
    assert standin.tokens[-1] == ("storage", None)


def test_a_whole_folder_arrives_with_its_small_files_verified_too(standin, tmp_path):
    model = known_model("TIPO-200M-ft2")
    standin.files = {file.path: f"content of {file.path}".encode() for file in model.safetensors}
    path = download(model, tmp_path, files=model.files("safetensors"))
    assert path == tmp_path / "TIPO-200M-ft2"
    assert {p.name: p.read_bytes() for p in path.iterdir()} == standin.files
    assert hub.resolve("TIPO-200M-ft2", [tmp_path]) == path
    (path / "config.json").write_bytes(b"changed")
    standin.served = 0
    download(model, tmp_path, files=model.files("safetensors"))
    assert standin.served == len(standin.files["config.json"]), "what is right already is not fetched again"
    assert (path / "config.json").read_bytes() == standin.files["config.json"]
    assert (path / "config.json.replaced").read_bytes() == b"changed"


def test_no_file_that_was_there_is_lost_however_often_it_is_replaced(standin, tmp_path):
    path = tmp_path / GGUF.local
    for content in (b"mine", b"another of mine", b"a third"):
        path.write_bytes(content)
        download(MODEL, tmp_path)
        assert path.read_bytes() == CONTENT
    kept = ("replaced", "replaced-2", "replaced-3")
    assert [path.with_name(f"{path.name}.{end}").read_bytes() for end in kept] == [
        b"mine",
        b"another of mine",
        b"a third",
    ]


def test_what_is_here_and_verified_needs_no_connection(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    pinned = replace(MODEL, gguf=(replace(GGUF, sha256=SHA256),))
    (tmp_path / GGUF.local).write_bytes(CONTENT)
    assert download(pinned, tmp_path) == tmp_path / GGUF.local


def test_a_killed_download_goes_on_where_it_was(standin, tmp_path):
    standin.hang_after = SIZE // 2
    code = f"""
from presample.models.fetching import download
from presample.models.published.tipo import KnownFile, KnownModel
file = KnownFile({GGUF.path!r}, {GGUF.local!r}, {SIZE})
download(KnownModel("TIPO-200M", {MODEL.repo!r}, "llama", 1, 1024, "", gguf=(file,)), {str(tmp_path)!r})
"""
    child = subprocess.Popen([sys.executable, "-c", code])
    try:
        half = _wait_for_part(tmp_path, SIZE // 2, child)
    finally:
        child.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        child.wait(10)
    assert not (tmp_path / GGUF.local).exists()
    standin.hang_after, standin.served = None, 0
    standin.release.set()
    assert download(MODEL, tmp_path).read_bytes() == CONTENT
    assert half == SIZE // 2
    assert standin.ranges == [None, f"bytes={half}-"]
    assert standin.served == SIZE - half


def _wait_for_part(folder: Path, size: int, child: subprocess.Popen) -> int:
    for _ in range(3000):
        for part in folder.glob("*.part"):
            if part.stat().st_size >= size:
                return part.stat().st_size
        assert child.poll() is None, "the download ended instead of waiting"
        time.sleep(0.01)
    raise AssertionError("the download did not get half-way in 30 seconds")


def test_a_lost_connection_is_taken_up_again_by_itself(standin, tmp_path):
    standin.cut_after = 100_000
    assert download(MODEL, tmp_path).read_bytes() == CONTENT
    assert standin.ranges == [None, "bytes=100000-", "bytes=200000-"]
    assert standin.served == SIZE


def test_a_connection_that_brings_nothing_more_is_an_error_and_keeps_what_came(standin, tmp_path):
    standin.cut_after = 100_000

    def then_nothing(name, done, size):
        if done >= 100_000:
            standin.cut_after = 0

    with pytest.raises(DownloadError, match="100000 of 300000 bytes are here; download it again"):
        download(MODEL, tmp_path, progress=then_nothing)
    standin.cut_after, standin.served = None, 0
    assert download(MODEL, tmp_path).read_bytes() == CONTENT
    assert standin.served == SIZE - 100_000


def test_a_server_that_knows_no_ranges_starts_the_file_anew(standin, tmp_path):
    transfer.part_path(REMOTE, tmp_path / GGUF.local).write_bytes(CONTENT[:1000])
    standin.ignore_range = True
    assert download(MODEL, tmp_path).read_bytes() == CONTENT
    assert standin.ranges == ["bytes=1000-"]


def test_a_part_that_is_too_long_starts_the_file_anew(standin, tmp_path):
    transfer.part_path(REMOTE, tmp_path / GGUF.local).write_bytes(CONTENT + b"too much")
    assert download(MODEL, tmp_path).read_bytes() == CONTENT
    assert standin.ranges == [None]


def test_a_part_of_another_version_is_not_continued(standin, tmp_path):
    old = transfer.Remote(GGUF.name, "", SIZE, hashlib.sha256(b"old").hexdigest())
    transfer.part_path(old, tmp_path / GGUF.local).write_bytes(b"old bytes")
    assert download(MODEL, tmp_path).read_bytes() == CONTENT
    assert standin.ranges == [None]


def test_a_file_with_the_wrong_checksum_is_removed_and_the_error_says_so(standin, tmp_path):
    standin.announce[GGUF.path] = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(DownloadError, match=r"damaged.*checksum must be .*removed; download it again"):
        download(MODEL, tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_damaged_part_is_found_out_and_the_next_attempt_is_clean(standin, tmp_path):
    transfer.part_path(REMOTE, tmp_path / GGUF.local).write_bytes(b"\xff" * 1000)
    with pytest.raises(DownloadError, match="damaged"):
        download(MODEL, tmp_path)
    assert download(MODEL, tmp_path).read_bytes() == CONTENT


def test_a_file_the_registry_knows_better_is_not_even_fetched(standin, tmp_path):
    pinned = replace(MODEL, gguf=(replace(GGUF, sha256="0" * 64),))
    with pytest.raises(DownloadError, match="not the file that this version of Presample knows"):
        download(pinned, tmp_path)
    assert standin.served == 0


@pytest.mark.parametrize("etag", ["W/abc", "0123456789", "g" * 64])
def test_without_a_checksum_nothing_is_fetched(etag, standin, tmp_path):
    standin.announce[GGUF.path] = etag
    with pytest.raises(DownloadError, match="cannot be verified"):
        download(MODEL, tmp_path)
    assert standin.served == 0


def test_too_small_a_disk_is_told_before_anything_is_fetched(standin, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=SIZE - 1))
    with pytest.raises(DownloadError, match=r"must have 0.3 MB free.*choose another folder"):
        download(MODEL, tmp_path / "new")
    assert standin.served == 0
    transfer.part_path(REMOTE, tmp_path / GGUF.local).write_bytes(CONTENT[:1])
    assert download(MODEL, tmp_path).read_bytes() == CONTENT, "what is here already needs no room"


def test_a_disk_that_fills_up_is_told_and_what_came_is_kept(standin, tmp_path, monkeypatch):
    write, room = transfer._write, [100_000]

    def until_full(file, chunk):
        write(file, chunk[: room[0]])
        room[0] -= min(len(chunk), room[0])
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(transfer, "_write", until_full)
    with pytest.raises(DownloadError, match=r"is full: .* needs 200000 more bytes") as caught:
        download(MODEL, tmp_path)
    assert str(tmp_path) in str(caught.value)
    monkeypatch.setattr(transfer, "_write", write)
    standin.ranges.clear()
    assert download(MODEL, tmp_path).read_bytes() == CONTENT
    assert standin.ranges == ["bytes=100000-"]


def test_a_folder_that_cannot_be_made_is_told(standin, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="choose a folder that you may write to"):
        download(MODEL, tmp_path / "file" / "below")


def test_offline_is_told_with_file_folder_and_page(standin, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # discard: nothing listens there
    with pytest.raises(DownloadError) as caught:
        download(MODEL, tmp_path)
    message = str(caught.value)
    assert "cannot reach http://127.0.0.1:9/KBlueLeaf/TIPO-200M/resolve/main/TIPO-200M-F16.gguf" in message
    assert "https://huggingface.co/KBlueLeaf/TIPO-200M/tree/main" in message
    assert str(tmp_path / GGUF.local) in message
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("endpoint", ["mirror", "file:///etc", "ftp://mirror"])
def test_a_mirror_must_be_an_address_of_the_web(endpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(DownloadError, match="HF_ENDPOINT must be an address"):
        download(MODEL, tmp_path)


def test_the_hubs_own_offline_switch_is_heeded(standin, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set"):
        download(MODEL, tmp_path)
    assert standin.heads == []


@pytest.mark.parametrize(
    ("status", "words"),
    [(None, "does not exist"), (401, "not open to you"), (503, "the server answered 503")],
)
def test_what_the_hub_answers_is_put_in_words(status, words, standin, tmp_path):
    standin.status = status
    standin.files.clear()
    with pytest.raises(DownloadError, match=words) as caught:
        download(MODEL, tmp_path)
    assert str(tmp_path / GGUF.local) in str(caught.value)


def test_storage_that_refuses_is_told(standin, tmp_path):
    def refuse(name, done, size):
        standin.status = 403

    with pytest.raises(DownloadError, match="the server answered 403"):
        download(MODEL, tmp_path, progress=refuse)


def test_the_bundled_model_is_not_downloaded(tmp_path):
    with pytest.raises(ValueError, match="comes with this package"):
        download(known_model("tipo-tiny"), tmp_path)


def test_a_stopped_download_keeps_what_came_and_goes_on_later(standin, tmp_path):
    standin.cut_after = 100_000
    seen = []
    with pytest.raises(DownloadStopped, match="of 300000 bytes are here"):
        download(
            MODEL,
            tmp_path,
            progress=lambda name, done, size: seen.append(done),
            should_stop=lambda: bool(seen) and seen[-1] >= 100_000,
        )
    assert [p.stat().st_size for p in tmp_path.iterdir()] == [100_000]
    standin.cut_after, standin.served = None, 0
    assert download(MODEL, tmp_path).read_bytes() == CONTENT
    assert standin.served == SIZE - 100_000


def test_a_download_stopped_before_it_began_fetches_nothing(standin, tmp_path):
    with pytest.raises(DownloadStopped):
        download(MODEL, tmp_path, should_stop=lambda: True)
    assert standin.served == 0


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_from_outside_passes_through_and_keeps_what_came(interrupt, standin, tmp_path):
    standin.cut_after = 100_000

    def interrupted(name, done, size):
        if done >= 100_000:
            raise interrupt

    with pytest.raises(interrupt):
        download(MODEL, tmp_path, progress=interrupted)
    assert [p.stat().st_size for p in tmp_path.iterdir()] == [100_000]


def test_a_second_download_of_the_same_file_is_told_about_the_first(standin, tmp_path):
    errors = []

    def second():
        try:
            download(MODEL, tmp_path)
        except DownloadError as error:
            errors.append(str(error))

    def while_the_first_runs(name, done, size):
        if not errors:
            thread = threading.Thread(target=second)
            thread.start()
            thread.join(20)

    assert download(MODEL, tmp_path, progress=while_the_first_runs).read_bytes() == CONTENT
    assert len(errors) == 1
    assert "another program is downloading" in errors[0]
