"""Helpers in this folder are imported by their names; a CLIP with random weights."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    from scorers_for_tests import save_clip

    folder = tmp_path_factory.mktemp("clip")
    save_clip(folder)
    return folder
