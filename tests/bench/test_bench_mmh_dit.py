"""The bench of a forward pass: it repeats exactly what is in one."""

import json

import pytest
import torch

from presample.models.bench.mmh_dit import Settings, measure, record, report, table, with_blocks
from presample.models.cli import main
from presample.models.mmh_dit.config import MMHDiTConfig
from presample.models.mmh_dit.model import MMHDiT, init_weights

TINY = MMHDiTConfig(hidden=48, heads=(2, 4), text_dim=8)


def test_every_product_and_attention_of_a_pass_is_repeated_in_its_shape():
    model = MMHDiT(TINY)
    init_weights(model, torch.Generator().manual_seed(0))
    x, t, text = torch.randn(1, 16, 4, 6), torch.rand(1), torch.randn(1, 3, 8)
    products, attention = record(model, lambda hooks: model(x, t, text, hooks=hooks))
    s, d, f = 1 + 3 + 6, 48, TINY.mlp_hidden
    block = [(1, 4 * d), (1, s, 3 * d), (1, s, d), (1, s, f), (1, s, f), (1, s, d)]
    ends = [(1, 6, d), *[(1, 3, d)] * 3, *[(1, d)] * 3, (1, d), (1, 6, 64)]
    assert sorted(tuple(call().shape) for call in products) == sorted(block * 2 + ends)
    assert [tuple(call().shape) for call in attention] == [(1, 2, s, 24), (1, 4, s, 12)]
    assert not model._forward_pre_hooks
    assert not model.image_in._forward_pre_hooks


def test_a_report_has_ratios_within_rounds_and_memory():
    told = []
    settings = Settings(TINY, size=32, text=3, repeats=3, dtype="float32")
    result = measure(settings, on_step=told.append)
    assert len(told) == 5
    facts = json.loads(json.dumps(report(result)))
    ratios = [each["forward"] / (each["products"] + each["attention"]) for each in facts["rounds"]]
    assert facts["ratio"]["median"] == pytest.approx(sorted(ratios)[1])
    assert facts["weights_bytes"] == 4 * TINY.parameters
    assert "2 blocks (the full size has 32)" in table(facts)


def test_fewer_blocks_keep_the_shape_of_the_whole():
    assert with_blocks(4).heads == (8, 16, 24, 48)
    assert with_blocks(32).parameters > 1.1e9


@pytest.mark.parametrize("wrong", [{"size": 12}, {"repeats": 0}, {"dtype": "int8"}, {"text": -1}])
def test_settings_that_cannot_be_measured_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(TINY, **wrong)


def test_the_command_prints_a_table_and_writes_the_numbers(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("presample.models.bench.mmh_dit.FULL", TINY)
    file = tmp_path / "out" / "mmh.json"
    assert (
        main(["bench", "mmh-dit", "--size", "32", "--text", "2", "--repeats", "1", "--json", str(file)]) == 0
    )
    assert "| ratio |" in capsys.readouterr().out
    assert json.loads(file.read_text())["settings"]["config"]["hidden"] == 48
    assert main(["bench", "mmh-dit", "--threads", "0"]) == 1
    assert "--threads must be at least 1" in capsys.readouterr().err
