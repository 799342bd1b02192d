"""What a mix costs: an encode for each encoder and text, one conversion of a file, and little on top."""

import statistics
import time
from types import SimpleNamespace

import mix_fake
import pytest
import torch
from mix_fake import Embedding, Engine, Fix, encode, host_shared, mixed, tensors

from presample.models.textcraftor.mix import mix

TOKENS = torch.tensor([[1, 2, 3, 4, 5, 6]])


@pytest.fixture
def mix_engines(shared):
    from presample.scripts.webui import mix_engines

    return mix_engines


@pytest.fixture
def asked(monkeypatch):
    """Which encoder was asked for which text, in order; 0 is the model's own, 1 and 2 are the files."""
    found, encode = [], Engine.encode_with_transformers
    first = "text_model.encoder.layers.0.self_attn.q_proj.weight"
    known = {tensors(seed)[first][0, 0].item(): seed for seed in range(3)}

    def noted(self, tokens):
        weight = self.tree.text_model.encoder.layers.get_submodule("0").self_attn.q_proj.weight
        found.append((known[weight[0, 0].item()], "".join(chr(96 + token) for token in tokens[0].tolist())))
        return encode(self, tokens)

    monkeypatch.setattr(Engine, "encode_with_transformers", noted)
    return found


def of(asked, text):
    return [seed for seed, said in asked if said.startswith(text)]


def test_at_the_default_start_each_text_costs_one_encode_of_the_original_and_one_of_the_tuned(host, asked):
    mixed(host, ["lake|city AND night", "lake"], w=1.0)
    texts = ["bad", "lake", "city", "`night"]
    assert {text: of(asked, text) for text in texts} == {text: [0, 1] for text in texts}
    assert len(asked) == 2 * len(texts)


@pytest.mark.parametrize("said", [{"w": 0.5}, {"w": 0.5, "start": 0.0}, {"w": 1.5, "end": 0.8}])
def test_three_encoders_cost_three_encodes_of_a_text_whatever_the_steps(host, asked, said):
    mixed(host, encoder_2="soft.safetensors", **said)
    assert sorted(of(asked, "lake")) == sorted(of(asked, "bad")) == [0, 1, 2]


def test_an_original_of_weight_0_is_asked_once_for_the_hosts_sake_and_no_more(host, asked):
    mixed(host, ["lake", "city", "night"], w=1.0, start=0.0)
    assert [seed for seed, _ in asked] == [0, 1, 0, 1, 1, 1], "for `bad`, then for the prompts"


def test_a_second_encoder_that_nothing_fits_is_asked_once_and_comes_out_bit_for_bit(host):
    """SDXL's, whatever the weights add up to."""
    second = Engine(9)
    second.tree.text_model.final_layer_norm.weight = torch.nn.Parameter(torch.ones(3))
    conditioner = SimpleNamespace(embedders=[Engine(0), second])
    host.shared.sd_model = SimpleNamespace(conditioner=conditioner, cond_stage_model=None)
    p = mixed(host, w=0.3, weight_1=0.7, weighting="raw")
    assert second.calls == 2, "for the prompt and the negative one"
    wanted = encode(host_shared(second), "lake")
    first, *halves = (p.seen(step)[0].split(mix_fake.WIDTH, -1) for step in (0, 9))
    assert all(torch.equal(half[1], wanted) for half in (first, *halves))
    assert not torch.equal(first[0], halves[0][0])


def test_a_file_is_converted_once_for_a_piece_of_conditioning(host, mix_engines, monkeypatch):
    converted, like = [], mix_engines._like
    monkeypatch.setattr(mix_engines, "_like", lambda *given: converted.append(1) or like(*given))
    mixed(host, ["lake|city", "night"], w=0.5)
    assert len(converted) == 2 * len(mix_fake.shapes()), "the prompts, and the negative prompt"


def test_what_a_host_moves_or_exchanges_meanwhile_is_seen(mix_engines):
    """A module that is sent away comes back when its own encoder runs; what stands in is made anew."""
    engine, tuned = Engine(0), tensors(1)
    (found,) = mix_engines.engines(host_shared(engine))
    answers, alone = mix_engines.Answers(found), Engine(1)
    with mix_engines.mixing(answers, [(1.0, tuned)], mix):
        engine.encode_with_transformers(TOKENS)
        engine.encode_with_transformers(TOKENS + 1)
        assert engine.calls == 3, "its own first"
        engine.double()
        moved = engine.encode_with_transformers(TOKENS + 2)
        assert engine.calls == 5
        engine.float()
        layer = engine.tree.text_model.encoder.layers.get_submodule("1").self_attn.q_proj
        layer.network_weights_backup = layer.weight.detach().clone()
        layer.weight += 0.1
        merged = engine.encode_with_transformers(TOKENS + 3)
    torch.testing.assert_close(moved, alone.double().encode_with_transformers(TOKENS + 2))
    alone.float().tree.text_model.encoder.layers.get_submodule("1").self_attn.q_proj.weight += 0.1
    torch.testing.assert_close(merged, alone.encode_with_transformers(TOKENS + 3))


def test_texts_are_told_apart_by_their_embeddings_and_none_waits_for_the_next(mix_engines):
    engine, embeddings = Engine(0), [Embedding(0.3), Embedding(0.4)]
    (found,) = mix_engines.engines(host_shared(engine))
    seen, given = [], [[], [Fix(1, embeddings[0])], [Fix(1, embeddings[1])], [Fix(2, embeddings[0])]]
    with mix_engines.mixing(mix_engines.Answers(found), [(0.5, None), (0.5, tensors(1))], mix):
        for fixes in [*given, *given]:
            engine.hijack.fixes = [list(fixes)]
            seen.append(engine.encode_with_transformers(TOKENS))
            assert engine.hijack.fixes is None, "a host would put them into the next text"
    assert engine.calls == 2 * len(given)
    assert all(map(torch.equal, seen[:4], seen[4:]))
    assert len({tuple(states.flatten().tolist()) for states in seen}) == len(given)


@pytest.mark.parametrize("encoders", [[(1.0, None)], [(1.0, tensors(1))]])
def test_what_a_host_does_to_an_answer_is_not_in_the_next(mix_engines, encoders):
    engine, alone = Engine(0, pooled=True), Engine(0 if encoders[0][1] is None else 1, pooled=True)
    (found,) = mix_engines.engines(host_shared(engine))
    wanted = alone.encode_with_transformers(TOKENS)
    with mix_engines.mixing(mix_engines.Answers(found), encoders, mix):
        for _ in range(3):
            states = engine.encode_with_transformers(TOKENS)
            assert torch.equal(states, wanted)
            assert torch.equal(states.pooled, wanted.pooled)
            states.pooled.zero_()
            states.zero_()


def test_the_next_piece_of_conditioning_knows_nothing_of_this_one(host, asked):
    """Its LoRAs and clip skip may be others."""
    mixed(host, w=0.5)
    first = list(asked)
    asked.clear()
    mixed(host, w=0.5)
    assert asked == first


def test_a_mix_of_clip_ls_states_takes_less_than_5_ms_on_top(mix_engines, monkeypatch):
    """Of this thread's own time, which other programs hardly lengthen; 0.6 to 0.8 ms on two busy cores."""
    monkeypatch.setattr(mix_fake, "LAYERS", 12)
    engine, tuned = Engine(0), tensors(1)
    states = [torch.randn(1, 77, 768) for _ in range(2)]
    engine.encode_with_transformers = lambda tokens: states[tokens[0, 0] % 2]
    (found,) = mix_engines.engines(host_shared(engine))
    spent = []
    with mix_engines.mixing(mix_engines.Answers(found), [(0.5, None), (0.5, tuned)], mix):
        for number in range(25):
            tokens = torch.full((1, 77), number)
            before = time.thread_time()
            engine.encode_with_transformers(tokens)
            spent.append(time.thread_time() - before)
    assert len(found.names) == 196
    assert statistics.median(spent[1:]) < 0.005, "the first also fits the tensors of the file"
