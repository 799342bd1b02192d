"""The command line as a person uses it: what is printed, what is written, what an error says."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from presample.models import cli
from presample.models.cli import eval as cli_eval
from presample.models.cli import train as cli_train
from presample.models.cli.expand import one_line
from presample.models.transfer import DownloadError

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


def test_a_tag_that_was_copied_with_invisible_characters_is_known_and_stays_as_it_was_typed(run):
    prompt = "\u200e1girl\u200b, \u200bla\u00adke"
    record = json.loads(run("expand", prompt, "--json", *SHORT)[1])
    typed, clean = record["regions"], json.loads(run("expand", "1girl, lake", "--json", *SHORT)[1])["regions"]
    assert record["prompt"].startswith(f"{prompt}, ")
    assert typed[0]["user_tags"]["special"] == ["\u200e1girl\u200b"]
    assert typed[0]["added_tags"] == clean[0]["added_tags"]


def test_pipes_and_redirected_files_are_utf_8_whatever_the_locale_is():
    environ = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "presample.models.cli", "expand", "--file", "-", *SHORT]
    done = subprocess.run(command, input="\ufeff猫\r\nlake\r\n".encode(), capture_output=True, env=environ)
    assert done.returncode == 0, done.stderr
    assert [line.split(",")[0] for line in done.stdout.decode().splitlines()] == ["猫", "lake"]


@pytest.mark.parametrize(("terminal", "encoding"), [(True, "cp1252"), (False, "utf-8")])
def test_a_terminal_keeps_its_own_encoding(monkeypatch, terminal, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stdout", stream)
    assert cli.main(["expand", "a", "--n", "0"]) == 1
    assert stream.encoding == encoding


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


def test_a_list_has_the_lines_that_an_editor_shows(run, tmp_path):
    prompts, out = tmp_path / "prompts.txt", tmp_path / "out.txt"
    prompts.write_bytes("\ufeff1girl\r\nlake\u2028night\n\nsky\x0cnight\x85day\n".encode())
    assert run("expand", "--file", str(prompts), "--out", str(out), *SHORT)[0] == 0
    lines = out.read_bytes().decode().split("\n")
    assert len(lines) == 5
    assert [line.split(",")[0] for line in lines[:2]] == ["1girl", "lake\u2028night"]
    assert lines[3].startswith("sky\x0cnight\x85day, ")


def test_a_prompt_of_several_lines_is_listed_without_what_a_comment_would_take_in(run, tmp_path):
    out = tmp_path / "out.txt"
    run("expand", "1girl # the girl\nred hair, lake", "--out", str(out), *SHORT)
    assert out.read_text(encoding="utf-8").startswith("1girl, red hair, lake, ")


@pytest.mark.parametrize(
    ("prompt", "line"),
    [
        ("1girl", "1girl"),
        ("lake # mine ", "lake # mine "),
        ("1girl\nlake # mine", "1girl, lake"),
        ("1girl,\r\n  lake \n\nsky", "1girl, lake, sky"),
        ("1girl, smile\nA girl stands.\nlake", "1girl, smile, A girl stands. lake"),
        ("1girl, k-on!\nguitar, smile.\nlake", "1girl, k-on!, guitar, smile. lake"),
        ("1girl，\nlake\n, sky", "1girl， lake , sky"),
        ("1girl BREAK\nlake\nBREAK sky", "1girl BREAK lake BREAK sky"),
        ("1girl\n:0.7 AND\nlake\nAND sky", "1girl :0.7 AND lake AND sky"),
        ("<lora:x:1>\n1girl\n<lora:y:1>", "<lora:x:1> 1girl <lora:y:1>"),
        ("(1girl\nlake\n)\n(\nsky)", "(1girl, lake ), ( sky)"),
        ("# one\n// two\n1girl", "1girl"),
        ("1girl // one\nlake", "1girl, lake"),
        ("ball #1\nhttps://x\nlake", "ball #1, https://x, lake"),
        ("1girl /* one\n# two */ lake\nsky", "1girl /* one # two */ lake, sky"),
        ("{ red # warm\n| {blue # cold\n|green}}, lake", "{ red | {blue |green}}, lake"),
        ("{#1\n|b}", "{#1 |b}"),
        ("[red # warm\n:blue:0.5], [a // b\n|c]", "[red :blue:0.5], [a |c]"),
        ("(red # warm\n:1.2)\nlake", "(red :1.2), lake"),
    ],
)
def test_a_prompt_on_one_line_says_what_it_said(prompt, line):
    assert one_line(prompt) == line


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
        (["expand", "a", "--model", __file__], "--model must be a name, got a path; write --folder"),
        (["expand", "a", "--layout", "<|nothing|>"], "<|nothing|>"),
        (["expand", "a", "--ban", "/(a/"], "/(a/"),
        (["expand", "--file", "not/there.txt"], "not/there.txt"),
        (["expand", "a", "--precision", "int3"], "int3"),
        (["expand", "a", "--device", "vulkan"], "the device must be there, got vulkan"),
        (["expand", "a", "--device", "cuda:99"], "the device must be there, got cuda:99"),
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


@pytest.mark.parametrize("error", [FloatingPointError, DownloadError])
def test_a_training_that_broke_down_or_a_lost_connection_is_a_message_too(run, monkeypatch, error):
    def failing(arguments):
        raise error("go on from the checkpoint")

    monkeypatch.setattr("presample.models.cli.expand.run", failing)
    assert run("expand", "a") == (1, "", "presample: go on from the checkpoint\n")


def test_an_error_of_our_own_is_not_hidden(run, monkeypatch):
    monkeypatch.setattr("presample.models.cli.expand.run", lambda arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("expand", "a")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["demo"], cli.COMMANDS["demo"][1]),
        (["train", "tiny-clip"], cli_train.TRAINERS["tiny-clip"][1]),
        (["eval", "tipo"], cli_eval.MEASURES["tipo"][1]),
    ],
)
def test_a_command_explains_itself_as_the_list_of_commands_does(argv, text, capsys):
    with pytest.raises(SystemExit):
        cli.main([*argv, "--help"])
    assert f"\n\n{text[0].upper()}{text[1:]}.\n\n" in capsys.readouterr().out


def test_ctrl_c_ends_with_the_exit_code_of_ctrl_c(run, monkeypatch):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("presample.models.cli.expand.run", interrupted)
    assert run("expand", "a")[0] == 130


def test_a_missing_extra_is_named_with_how_to_get_it(run, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "prompts.txt").write_text("lake\n", encoding="utf-8")
    argv = ["--input", str(tmp_path / "prompts.txt"), "--output", str(tmp_path / "out"), "--ray", "1"]
    code, _, err = run("expand", *argv)
    assert code == 1
    assert "pip install -e '.[ray]'" in err


def test_every_extra_that_is_named_has_that_module():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no reader of TOML")
    extras = tomllib.loads((Path(cli.__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    packages = {"sklearn": "scikit-learn"}
    for module, extra in cli.EXTRAS.items():
        named = extras["optional-dependencies"][extra]
        assert any(line.startswith(packages.get(module, module)) for line in named), module
