"""On Ray the results are those of a run here, byte for byte."""

import json

import pytest

ray = pytest.importorskip("ray", reason="more than one machine needs presample[ray]")
pytest.importorskip("ray.data", reason="more than one machine needs presample[ray]")
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning"),
    pytest.mark.usefixtures("cluster"),
]


def contents(path):
    files = (p for p in path.rglob("*") if p.name != ".lock" and p.is_file())
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in files}


def test_ray_makes_the_same_files_and_goes_on_with_those_begun_here(tmp_path):
    from presample.models import cli

    prompts = tmp_path / "prompts.jsonl"
    lines = [
        {"prompt": f"lake, {word}", "temperature": t} for word in ("snow", "moon", "boat") for t in (0.5, 1.0)
    ]
    prompts.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"text": "?"}, *lines]))
    quick = ["--part", "4", "--tag-length", "very_short", "--prose-length", "none"]
    for name, how in (("here", ["--workers", "1"]), ("there", ["--ray", "2", "--ray-cpus", "0.5"])):
        command = ["expand", "--input", str(prompts), "--output", str(tmp_path / name), *quick, *how]
        assert cli.main(command) == 0
        if name == "there":
            assert contents(tmp_path / "there") == contents(tmp_path / "here")
            (tmp_path / "there" / "000001.jsonl").unlink()
            assert cli.main(command) == 0
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
