"""Labels of models: what a choice stands for before and after its files are here."""

from presample.models.hub import find_models
from presample.models.published.tipo import known_model
from presample.models.tipo.choices import cost, label_now, missing_model, model_labels

LABEL = "TIPO-200M (not downloaded, 406 MB, Apache-2.0)"
FILE = "TIPO-200M_TIPO-200M-40Btok-F16.gguf"


def test_a_model_that_could_be_had_is_told_by_its_label(tmp_path):
    found = find_models([tmp_path])
    assert LABEL in model_labels(found)
    assert missing_model(LABEL, found) is known_model("TIPO-200M")
    assert cost(known_model("TIPO-200M")) == "406 MB, Apache-2.0"
    for label in ("tipo-tiny", "mine.gguf", "no such model (not downloaded, 1 MB, x)"):
        assert missing_model(label, found) is None


def test_a_choice_stays_the_same_model_when_its_file_arrives(tmp_path):
    (tmp_path / "TIPO-200M-mine-Q8_0.gguf").write_bytes(b"1")  # its rules, another model
    assert label_now(LABEL, find_models([tmp_path])) == LABEL
    (tmp_path / FILE).write_bytes(b"1")
    found = find_models([tmp_path])
    assert missing_model(LABEL, found) is None
    assert label_now(LABEL, found) == FILE in model_labels(found)
    for label in (FILE, "TIPO-200M-mine-Q8_0.gguf", "gone.gguf"):
        assert label_now(label, found) == label
