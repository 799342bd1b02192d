"""The table of known models: complete, consistent with itself, with KGen's list and with its own rules."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from presample.models.published.tipo import KNOWN, TASKS, identify, known_model

PUBLISHED = [known for known in KNOWN if known.repo]


def test_the_table_holds_every_published_model_and_the_bundled_one():
    assert [known.name for known in KNOWN] == [
        "tipo-tiny",
        "TIPO-100M",
        "TIPO-200M",
        "TIPO-200M-ft",
        "TIPO-200M-ft2",
        "TIPO-500M",
        "TIPO-500M-ft",
        "TIPOv2-1B-A200M",
        "TIPO-v2.1-1B-A200M",
    ]


def test_every_model_and_gguf_that_kgen_offers_is_known_under_the_name_kgen_stores_it():
    spec = importlib.util.find_spec("kgen")
    if spec is None:
        pytest.skip("tipo-kgen is not installed")
    source = Path(spec.submodule_search_locations[0], "models.py").read_text(encoding="utf-8")
    (listed,) = [
        ast.literal_eval(line.value)
        for line in ast.parse(source).body
        if isinstance(line, ast.Assign) and line.targets[0].id == "tipo_model_list"
    ]
    assert len(listed) == len(PUBLISHED)
    for repo, ggufs in listed:
        known = known_model(repo)
        assert known.repo == repo
        assert known.gguf[0].name == ggufs[0]
        assert known.gguf[0].local == f"{repo.split('/')[-1]}_{ggufs[0]}"


@pytest.mark.parametrize("known", PUBLISHED, ids=lambda known: known.name)
def test_a_published_model_has_a_page_a_licence_and_both_formats(known):
    assert known.page == f"https://huggingface.co/{known.repo}"
    assert known.licence in ("Apache-2.0", "Kohaku-1.0")
    assert known.architecture in ("llama", "kohaku")
    assert known.context in (1024, 2048, 4096)
    assert known.files("gguf") == known.gguf[:1]
    folder = known.files("safetensors")
    assert {"config.json", "model.safetensors"} < {file.path for file in folder}
    assert {"tokenizer.json", "tokenizer.model"} & {file.path for file in folder}
    assert folder[-1].path == "model.safetensors", "a folder that has its weights must be complete"


@pytest.mark.parametrize("known", PUBLISHED, ids=lambda known: known.name)
def test_places_are_relative_and_unique_and_checksums_are_sha256(known):
    files = (*known.gguf, *known.safetensors)
    assert len({file.local for file in files}) == len(files)
    for file in files:
        assert ".." not in file.local
        assert not file.local.startswith("/")
        assert file.local.startswith((f"{known.name}_", f"{known.name}/"))
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)


def test_no_two_weights_share_a_checksum():
    sums = [f.sha256 for k in KNOWN for f in (*k.gguf, *k.safetensors) if f.sha256 and "token" not in f.path]
    assert len(sums) == len(set(sums)) == 9


def test_a_size_fits_the_parameters_at_four_or_two_bytes_each():
    for known in PUBLISHED:
        width = 4 if known.architecture == "llama" else 2
        assert known.safetensors[-1].size == pytest.approx(known.parameters * width, rel=0.01)
        assert known.gguf[0].size == pytest.approx(known.parameters * 2, rel=0.01)


def test_version_one_knows_all_tasks_and_version_two_never_learned_short_to_long():
    assert set(known_model("TIPO-200M-ft").tasks) == set(TASKS)
    for name in ("TIPOv2-1B-A200M", "TIPO-v2.1-1B-A200M"):
        assert set(known_model(name).tasks) == set(TASKS) - {"short_to_long"}


@pytest.mark.parametrize(
    ("name", "word", "wanted"),
    [
        ("TIPO-200M", "general", "general"),
        ("TIPO-200M", "safe", "safe"),
        ("TIPOv2-1B-A200M", "safe", "general"),
        ("TIPOv2-1B-A200M", "nsfw", "questionable"),
        ("TIPO-v2.1-1B-A200M", "general", "safe"),
        ("TIPO-v2.1-1B-A200M", "sensitive", "sensitive"),
        ("TIPO-v2.1-1B-A200M", "Questionable", "nsfw"),
        ("TIPO-v2.1-1B-A200M", "explicit", "nsfw, explicit"),
        ("TIPO-v2.1-1B-A200M", "nsfw", "nsfw"),
    ],
)
def test_a_rating_is_put_in_the_words_the_model_was_trained_on(name, word, wanted):
    assert known_model(name).rating(word) == wanted


@pytest.mark.parametrize("format", ["pickle", "", "GGUF"])
def test_an_unknown_format_is_refused(format):
    with pytest.raises(ValueError, match="gguf or safetensors"):
        known_model("TIPO-200M").files(format)


def test_the_bundled_model_has_nothing_to_download():
    tiny = known_model("tipo-tiny")
    assert tiny.page is None
    with pytest.raises(ValueError, match="not published"):
        tiny.files("gguf")


@pytest.mark.parametrize("name", ["TIPO-500M", "tipo-500m", " KBlueLeaf/TIPO-500M ", "kblueleaf/tipo-500m"])
def test_a_model_is_known_by_its_name_or_repository_in_any_case(name):
    assert known_model(name).name == "TIPO-500M"


@pytest.mark.parametrize("name", ["", "TIPO", "TIPO-500M.gguf", "other/TIPO-500M", "../TIPO-500M"])
def test_nothing_else_is_a_known_name(name):
    assert known_model(name) is None


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("TIPO-200M_TIPO-200M-40Btok-F16.gguf", "TIPO-200M"),
        ("TIPO-200M-ft_TIPO-200M-ft-F16.gguf", "TIPO-200M-ft"),
        ("TIPO-200M-ft2_TIPO-200M-ft2-F16.gguf", "TIPO-200M-ft2"),
        ("tipo-200m-ft.Q4_K_M.gguf", "TIPO-200M-ft"),
        ("KBlueLeaf.TIPO-500M.Q8_0.gguf", "TIPO-500M"),
        ("TIPO-500M_epoch5-F16.gguf", "TIPO-500M"),
        ("TIPO-v2.1-1B-A200M-Q8_0.gguf", "TIPO-v2.1-1B-A200M"),
        ("TIPOv2-1B-A200M", "TIPOv2-1B-A200M"),
        ("tipo-tiny", "tipo-tiny"),
        ("KBlueLeaf/TIPO-100M", "TIPO-100M"),
        ("TIPO-200Mega", None),
        ("mytipo-100M2", None),
        ("llama-7b.gguf", None),
    ],
)
def test_a_file_name_tells_whose_rules_a_model_follows(name, wanted):
    known = identify(name)
    assert (known and known.name) == wanted


def test_a_model_answers_to_the_names_of_its_own_files_only():
    names = known_model("TIPO-200M").local_names
    assert {"tipo-200m", "tipo-200m-f16.gguf", "tipo-200m_tipo-200m-40btok-f16.gguf"} <= names
    assert "tipo-200m-ft-f16.gguf" not in names
