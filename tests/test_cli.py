"""The command line as a person uses it: what is printed, what is written, what an error says."""

import io
import json
import os
import subprocess
import sys

import pytest

from presample.models import cli
from presample.models.cli import eval as cli_eval
from presample.models.cli import train as cli_train

SECOND = [("train", name) for name in cli_train.TRAINERS] + [("eval", name) for name in cli_eval.MEASURES]
SHORT = ["--tag-length", "very_short", "--prose-length", "none"]


@pytest.fixture
def run(capsys):
    def run_it(*argv: str) -> tuple[int, str, str]:
        code = cli.main([*argv])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_it


def test_one_prompt_is_printed_with_its_own_text_first(run):
    code, out, _ = run("expand", "1girl, (lake:1.2), <lora:a:1>", *SHORT)
    assert code == 0
    assert out.startswith("1girl, (lake:1.2), <lora:a:1>, ")
    assert out.count("\n") == 1


def test_variations_are_those_of_the_following_seeds(run):
    _, out, _ = run("expand", "1girl, lake", "--n", "3", "--seed", "5", *SHORT)
    alone = [run("expand", "1girl, lake", "--seed", str(seed), *SHORT)[1].strip() for seed in (5, 6, 7)]
    assert out.strip().split("\n\n") == alone


def test_json_says_everything(run):
    _, out, _ = run("expand", "1girl, lake", "--json", *SHORT)
    record = json.loads(out)
    assert record["original"] == "1girl, lake"
    assert record["regions"][0]["user_tags"] == {"special": ["1girl"], "general": ["lake"]}
    assert record["prompt"].startswith("1girl, lake, ")
    assert record["seed"] == 0


def test_standard_input_can_be_the_prompt(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("1girl,\nlake"))
    _, out, _ = run("expand", "-", *SHORT)
    assert out.startswith("1girl,\nlake, ")


def test_a_list_is_one_line_each_and_goes_on_where_it_was_cut(run, tmp_path):
    prompts, out = tmp_path / "prompts.txt", tmp_path / "out.txt"
    prompts.write_text("1girl\nlake\ncastle, night\n", encoding="utf-8")
    assert run("expand", "--file", str(prompts), "--out", str(out), "--n", "2")[0] == 0
    whole = out.read_bytes()
    lines = whole.decode().splitlines()
    assert [line.split(",")[0] for line in lines] == ["1girl", "1girl", "lake", "lake", "castle", "castle"]
    out.write_bytes(b"".join(line + b"\n" for line in whole.split(b"\n")[:3]) + b"half a li")
    assert run("expand", "--file", str(prompts), "--out", str(out), "--n", "2", "--resume")[0] == 0
    assert out.read_bytes() == whole


def test_going_on_with_a_list_writes_nothing_of_it_again(run, tmp_path, monkeypatch):
    out = tmp_path / "out.txt"
    out.write_bytes(b"a finished line\nhalf a li")
    monkeypatch.setattr("pathlib.Path.write_bytes", None)
    assert run("expand", "1girl", "--n", "2", "--out", str(out), "--resume", *SHORT)[0] == 0
    first, second = out.read_text(encoding="utf-8").splitlines()
    assert first == "a finished line"
    assert second.startswith("1girl, ")


def test_a_file_that_is_there_is_not_written_over(run, tmp_path):
    out = tmp_path / "out.txt"
    out.write_text("mine")
    code, _, err = run("expand", "1girl", "--out", str(out), *SHORT)
    assert code == 1
    assert "is there already" in err
    assert "--resume" in err
    assert out.read_text() == "mine"


def test_streaming_shows_what_is_added_and_leaves_the_output_alone(run):
    _, plain, _ = run("expand", "1girl, lake", *SHORT)
    _, out, err = run("expand", "1girl, lake", "--stream", *SHORT)
    assert out == plain
    assert err.strip() == plain.strip().removeprefix("1girl, lake, ").replace("\\", "")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["expand"], "give one prompt"),
        (["expand", "a", "--file", "b"], "give one prompt"),
        (["expand", "a", "--n", "0"], "--n must be at least 1"),
        (["expand", "a", "--resume"], "--out"),
        (["expand", "a", "--temperature", "9"], "temperature must lie in 0"),
        (["expand", "a", "--model", "nobody"], "no model named 'nobody'"),
        (["expand", "a", "--layout", "<|nothing|>"], "<|nothing|>"),
        (["expand", "a", "--ban", "/(a/"], "/(a/"),
        (["expand", "--file", "not/there.txt"], "not/there.txt"),
        (["expand", "a", "--precision", "int3"], "int3"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(run, argv, words):
    code, out, err = run(*argv)
    assert code == 1
    assert out == ""
    assert err.startswith("presample: ")
    assert words in err


def test_a_file_in_another_encoding_is_an_error_that_says_so(run, tmp_path):
    (tmp_path / "p.txt").write_bytes("café".encode("latin-1"))
    code, _, err = run("expand", "--file", str(tmp_path / "p.txt"))
    assert code == 1
    assert "UTF-8" in err


def test_help_and_version_need_neither_torch_nor_a_model():
    code = (
        "import sys; from presample.models.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'huggingface_hub', 'tqdm'} & set(sys.modules)))"
    )
    for argv in (["--help"], ["--version"], ["expand", "--help"], ["train", "--help"], ["eval", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True, env=os.environ
        )
        assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", [*((group, None) for group in cli.COMMANDS), *SECOND])
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([*filter(None, command), "--help"])
    assert stopped.value.code == 0
    assert f"usage: presample {' '.join(filter(None, command))}" in capsys.readouterr().out


def test_ctrl_c_ends_with_the_exit_code_of_ctrl_c(run, monkeypatch):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("presample.models.cli.expand.run", interrupted)
    assert run("expand", "a")[0] == 130
