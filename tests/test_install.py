"""install.py: silent where nothing is missing, never more than is listed, clear where it can do nothing."""

import importlib.util
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _run(*options, path=""):
    """Runs install.py in a fresh interpreter, as a host does, with a folder of modules in front."""
    code = (
        "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_path(sys.argv[2], run_name='__main__')"
    )
    command = [sys.executable, *options, "-c", code, str(path), str(ROOT / "install.py")]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def installer():
    spec = importlib.util.spec_from_file_location("presample_install", ROOT / "install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pip(monkeypatch):
    """A host's run_pip that writes down what it is asked."""
    asked = []
    host = types.SimpleNamespace(run_pip=lambda command, desc: asked.append((command, desc)))
    monkeypatch.setitem(sys.modules, "launch", host)
    return asked


def test_it_says_and_does_nothing_where_all_is_there():
    for _ in range(2):
        result = _run()
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_it_names_what_is_missing_and_what_to_type_where_no_host_is():
    result = _run("-I", "-S")  # an interpreter without any package
    assert result.returncode == 0, result.stderr
    assert "Presample needs torch, numpy, safetensors, tqdm, huggingface_hub" in result.stdout
    assert f"{sys.executable} -m pip install torch numpy safetensors tqdm huggingface_hub" in result.stdout


def test_it_asks_the_host_for_nothing_that_requirements_do_not_list(tmp_path):
    (tmp_path / "launch.py").write_text("def run_pip(command, desc):\n    print('asked for', command)\n")
    result = _run("-I", "-S", path=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "asked for" not in result.stdout
    assert "Presample needs torch" in result.stdout


@pytest.mark.parametrize("trouble", ["raise AttributeError('no such option')", "import no_such_module"])
def test_a_launcher_that_cannot_be_imported_stops_nothing(tmp_path, trouble):
    (tmp_path / "launch.py").write_text(trouble + "\n")
    result = _run("-I", "-S", path=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Presample needs torch" in result.stdout


def test_a_pip_that_fails_is_no_failed_start(installer):
    def pip(command, desc):
        raise RuntimeError("Couldn't install")

    missing = installer.install({"no_such_package": "no-such-package"}, needed=(), pip=pip)
    assert missing == ["no_such_package"]


def test_what_is_listed_and_missing_is_installed_by_the_host(installer, pip):
    requirements = installer.listed("# nothing\n\nno-such-package>=1.2  # why\npytest\n")
    missing = installer.install(requirements, needed=("pytest",), pip=installer.host_pip())
    assert pip == [('install "no-such-package>=1.2"', "no_such_package for Presample")]
    assert missing == ["no_such_package"]


def test_what_is_installed_is_left_as_it_is(installer, pip):
    assert installer.install({"pytest": "pytest>=999"}, needed=(), pip=installer.host_pip()) == []
    assert pip == []


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("a-b", "a_b"),
        ("ab[x]>=1", "ab"),
        ("ab ; python_version<'3'", "ab"),
        ("ab~=1.0", "ab"),
        ("# ab", None),
    ],
)
def test_a_requirement_is_known_by_the_name_it_is_imported_under(installer, line, name):
    assert list(installer.listed(line)) == ([name] if name else [])


def test_it_imports_the_standard_library_only_and_starts_no_program():
    source = (ROOT / "install.py").read_text(encoding="utf-8")
    imported = set(re.findall(r"^ *(?:import|from) (\w+)", source, re.M))
    assert imported <= set(sys.stdlib_module_names) | {"launch"}
    assert not re.search(r"subprocess|os\.system|urllib|http", source)


def test_its_list_is_the_one_in_pyproject(installer):
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    dependencies = re.search(r"^dependencies = \[(.*?)\]", project, re.M | re.S)[1]
    assert list(installer.NEEDED) == re.findall(r'"([\w-]+)', dependencies)
