"""`presample models`, run through its parser."""

import json

import pytest
from models_command_for_tests import run

from presample.models import hub
from presample.models.cli import models as cli_models
from presample.models.published.tipo import known_model


def test_the_list_shows_what_is_known_what_is_here_and_where_it_looked_in_80_columns(tmp_path, capsys):
    path = tmp_path / "TIPO-200M-ft2_TIPO-200M-ft2-F16.gguf"
    path.write_bytes(b"1" * 1000)
    assert run("--folder", str(tmp_path)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "TIPO-v2.1-1B-A200M" in out
    assert [line.split()[-1] for line in out.splitlines() if line.startswith("  TIPO-200M-ft2 ")] == ["yes"]
    assert "  TIPO-200M-ft2_TIPO-200M-ft2-F16.gguf  (gguf, 1 kB)" in out
    assert f"  1 found    {tmp_path}" in out
    assert f"  not there  {tmp_path / 'hf' / 'hub'}" in out
    assert all(len(line) <= 80 for line in out.splitlines() if "/" not in line or "https" in line)


def test_the_list_as_json_is_complete(tmp_path, capsys):
    (tmp_path / "mine.gguf").write_bytes(b"1")
    assert run("list", "--json", "--folder", str(tmp_path)) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [known["name"] for known in shown["known"]] == [known.name for known in cli_models.KNOWN]
    mine = {"name": "mine.gguf", "path": str(tmp_path / "mine.gguf"), "kind": "gguf", "size": 1}
    assert mine.items() <= next(f for f in shown["found"] if f["name"] == "mine.gguf").items()
    searched = [str(folder) for folder in hub.search_folders([tmp_path])]
    assert [folder["folder"] for folder in shown["searched"]] == searched


def test_where_says_which_folders_and_where_downloads_go(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PRESAMPLE_MODELS", str(tmp_path / "mine"))
    assert run("where") == 0
    assert f"Downloads go to\n  {tmp_path / 'mine'}\n" in capsys.readouterr().out
    assert run("--base", str(tmp_path), "where", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["downloads"] == str(tmp_path / "models" / "tipo")
    assert str(tmp_path / "models" / "kgen") in [folder["folder"] for folder in shown["searched"]]


def test_a_file_name_cannot_play_with_the_terminal(tmp_path, capsys):
    (tmp_path / "\x1b[31mred\n.gguf").write_bytes(b"1")
    assert run("--folder", str(tmp_path)) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_the_command_downloads_a_model_and_prints_its_path(standin, tmp_path, capsys):
    standin.files["TIPO-200M-ft2-F16.gguf"] = b"weights"
    assert run("download", "tipo-200m-ft2", "--to", str(tmp_path)) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'TIPO-200M-ft2_TIPO-200M-ft2-F16.gguf'}\n"
    assert "Kohaku-1.0" in err
    assert "https://huggingface.co/KBlueLeaf/TIPO-200M-ft2" in err


def test_the_command_downloads_the_format_or_the_file_that_is_named(standin, tmp_path, capsys):
    model = known_model("TIPO-200M-ft2")
    standin.files = {file.path: b"x" for file in model.safetensors}
    assert run("download", "TIPO-200M-ft2", "--format", "safetensors", "--to", str(tmp_path), "--json") == 0
    path = str(tmp_path / "TIPO-200M-ft2")
    assert json.loads(capsys.readouterr().out) == {"name": "TIPO-200M-ft2", "path": path}
    assert run("download", "TIPO-200M", "--file", "none.gguf", "--to", str(tmp_path)) == 1
    err = capsys.readouterr().err
    assert "no GGUF file called 'none.gguf'; it has TIPO-200M-40Btok-F16.gguf, TIPO-200M-F16.gguf" in err
    standin.files["gguf/TIPO-v2.1-1B-A200M-Q8_0.gguf"] = b"other weights"
    argv = ("download", "TIPO-v2.1-1B-A200M", "--file", "TIPO-v2.1-1B-A200M-Q8_0.gguf", "--to", str(tmp_path))
    assert run(*argv) == 1
    assert "not the file that this version of Presample knows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("download", "tipo200m"), "did you mean TIPO-200M?"),
        (("download", "tipo-tiny"), "comes with this package"),
        (("download", "../../etc/passwd"), "no known model"),
    ],
)
def test_an_error_of_the_user_is_one_message_and_exit_code_1(argv, words, tmp_path, capsys):
    assert run(*argv, "--to", str(tmp_path)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("presample: ")
    assert words in err
    assert "Traceback" not in err


def test_offline_the_command_ends_with_exit_code_1_and_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert run("download", "TIPO-100M", "--to", str(tmp_path)) == 1
    err = capsys.readouterr().err
    assert "get TIPO-100M-F16.gguf" in err
    assert str(tmp_path / "TIPO-100M_TIPO-100M-F16.gguf") in err


def test_ctrl_c_ends_the_command_with_exit_code_130(monkeypatch, tmp_path, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_models, "download", interrupted)
    assert run("download", "TIPO-100M", "--to", str(tmp_path)) == 130
    assert "the same command goes on" in capsys.readouterr().err
