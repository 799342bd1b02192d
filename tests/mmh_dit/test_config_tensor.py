"""The config as a tensor of a file, for hosts that hand on tensors and not metadata."""

import pytest
import torch
from dit_for_tests import SMALL, inputs, small_model
from safetensors import safe_open
from safetensors.torch import save_file

from presample.models.mmh_dit.checkpoint import (
    CONFIG_KEY,
    config_tensor,
    infer_config,
    load,
    not_finite,
    read,
    save,
    take_config,
)


def test_a_file_without_metadata_is_the_same_model(tmp_path):
    model, path, bare = small_model(), tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save(model, path)
    with safe_open(path, framework="pt") as file:
        save_file({name: file.get_tensor(name) for name in file.keys()}, bare)  # noqa: SIM118
    loaded = load(bare)
    assert loaded.config == SMALL
    assert torch.equal(loaded(*inputs()), model(*inputs()))
    assert read(bare).report.unmatched == ()


def test_metadata_counts_where_both_say_something():
    held = {**small_model().state_dict(), CONFIG_KEY: config_tensor(SMALL)}
    tensors, facts = take_config(held, {CONFIG_KEY: "{"})
    assert CONFIG_KEY not in tensors
    with pytest.raises(ValueError, match="must be JSON"):
        infer_config(tensors, facts)


@pytest.mark.parametrize("held", [torch.ones(3), torch.ones(2, 2, dtype=torch.uint8)])
def test_a_tensor_that_is_no_text_is_refused(held):
    with pytest.raises(ValueError, match="must be the bytes of a JSON object"):
        take_config({CONFIG_KEY: held}, None)


def test_bytes_that_are_no_text_are_refused_with_the_name():
    tensors, facts = take_config(
        {**small_model().state_dict(), CONFIG_KEY: torch.tensor([255, 254], dtype=torch.uint8)}, {}
    )
    with pytest.raises(ValueError, match=f"{CONFIG_KEY} of the file must be JSON"):
        infer_config(tensors, facts)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_a_number_that_is_none_is_found_in_every_type(dtype):
    whole = torch.ones(8, 8).to(dtype)
    broken = torch.ones(8, 8)
    broken[3, 4] = float("nan")
    tensors = {"whole": whole, "broken": broken.to(dtype), "counts": torch.ones(2, dtype=torch.long)}
    assert not_finite(tensors) == ["broken"]
