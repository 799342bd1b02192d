"""What `presample eval tipo` measures by default, how it loads a model, and what it says without one."""

from pathlib import Path

import pytest
import torch

from presample.models.tipo.training import evaluate

transformers = pytest.importorskip("transformers", reason="measuring needs presample[train]")


def test_the_bundled_model_is_measured_wherever_one_is(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    model, tokenizer = evaluate.load(Path(evaluate.EvalOptions().model))
    assert tokenizer.get_vocab_size() == model.config.vocab_size


def test_a_model_is_loaded_in_single_precision_without_options_that_old_transformers_lack(monkeypatch):
    real = transformers.LlamaForCausalLM.from_pretrained
    monkeypatch.setattr(transformers.LlamaForCausalLM, "from_pretrained", lambda folder: real(folder).half())
    model, _ = evaluate.load(Path(evaluate.BUNDLED))
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not model.training


def test_a_folder_without_a_model_is_named_with_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json must be there; .* with --model"):
        evaluate.load(tmp_path)
