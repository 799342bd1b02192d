"""The bundled model, tipo-kgen 0.3.1 to compare with, and the way to the helpers beside the tests."""

import importlib
import importlib.metadata
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "prompt")]


@pytest.fixture(scope="session")
def tipo():
    """The bundled model."""
    from presample.models.tipo.expand import load_tipo

    return load_tipo()


@pytest.fixture(scope="session")
def kgen():
    """KGen's executor as it is; importing it takes seconds, for it imports transformers."""
    pytest.importorskip("kgen", reason="the differential test needs tipo-kgen 0.3.1, which is not installed")
    version = importlib.metadata.version("tipo-kgen")
    if version != "0.3.1":
        pytest.skip(f"the differences are listed for tipo-kgen 0.3.1, and {version} is installed")
    return importlib.import_module("kgen.executor.tipo")


class Comparison:
    """Compares pair after pair and remembers which of the listed differences were met.

    A difference is a kind of input: why we differ, whether a case is of it, what it makes of KGen's result.
    """

    def __init__(self, differences: dict):
        self.differences, self.met = differences, set()

    def check(self, case, theirs, ours) -> None:
        """Fails where ours is not what the listed differences make of theirs, and where one is gone."""
        expected = theirs
        for name, (_reason, applies, rewrite) in self.differences.items():
            if applies(case):
                self.met.add(name)
                changed = rewrite(expected, case)
                assert changed != expected, f"no longer different: {name} in {case}, {theirs!r}"
                expected = changed
        assert ours == expected, f"an unlisted difference in {case}"

    def all_met(self) -> None:
        """Fails where a listed difference was not met in any case."""
        assert self.met == set(self.differences)


@pytest.fixture
def compare():
    """Makes a comparison from a table of differences."""
    return Comparison


@pytest.fixture
def requests(tipo, monkeypatch):
    """The texts that reach the language model."""
    seen = []
    encode = tipo.language.tokenizer.encode

    def noted(text, **how):
        if "target: " in text:
            seen.append(text)
        return encode(text, **how)

    monkeypatch.setattr(tipo.language.tokenizer, "encode", noted)
    return seen
