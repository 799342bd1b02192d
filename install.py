"""Run by WebUI hosts and ComfyUI-Manager once they have fetched the extension. Standard library only.

It installs what requirements.txt lists and the host lacks, through the host's own `launch.run_pip`; where
there is none it says what to type. What is installed already stays as it is, no model is downloaded, and
running it again does nothing.
"""

import contextlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")

# What the pack imports (the dependencies in pyproject.toml); every host ships them.
NEEDED = ("torch", "numpy", "safetensors", "tqdm", "huggingface_hub", "filelock", "transformers", "pillow")
IMPORTED_AS = {"pillow": "PIL"}


def is_installed(name: str) -> bool:
    """True when `name` can be imported; nothing is imported to find out."""
    return importlib.util.find_spec(IMPORTED_AS.get(name, name.replace("-", "_"))) is not None


def listed(text: str) -> dict[str, str]:
    """Returns the requirements of a requirements.txt, by the name that they are imported under."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return {re.split(r"[\s<>=!~;\[]", line)[0].replace("-", "_"): line for line in lines if line}


def host_pip() -> Callable[[str, str], object] | None:
    """Returns the host's `run_pip(command, description)`; None in ComfyUI and in plain Python."""
    try:
        from launch import run_pip
    except Exception:  # whatever keeps a host's launcher from being imported, it cannot install either
        return None
    return run_pip


def install(requirements: dict[str, str], *, needed: Iterable[str], pip: Callable | None) -> list[str]:
    """Installs what is listed and missing, and returns what is still missing after that."""
    for name, requirement in requirements.items():
        if pip and not is_installed(name):
            # Hosts raise RuntimeError where pip fails; what is missing is told below.
            with contextlib.suppress(RuntimeError, OSError):
                pip(f'install "{requirement}"', f"{name} for Presample")
    importlib.invalidate_caches()
    return [name for name in dict.fromkeys((*requirements, *needed)) if not is_installed(name)]


def main() -> None:
    requirements = listed(REQUIREMENTS.read_text(encoding="utf-8"))
    if all(map(is_installed, (*requirements, *NEEDED))):
        return
    missing = install(requirements, needed=NEEDED, pip=host_pip())
    if missing:
        packages = " ".join(requirements.get(name, name) for name in missing)
        sys.stdout.write(
            f"Presample needs {', '.join(missing)}, which {sys.executable} lacks. Hosts ship these, so this "
            f"may not be the host's own Python. To add them: {sys.executable} -m pip install {packages}\n"
        )


if __name__ == "__main__":
    main()
