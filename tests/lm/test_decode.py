"""Writing rows: each has the text it would have alone, whatever lies beside it or was taken back."""

import random

import numpy as np
import pytest
import torch
from gguf_for_tests import save_llama_folder
from models_for_tests import Plain, greedy

from presample.models.interrupt import Interrupted
from presample.models.lm import quant
from presample.models.lm.checkpoint import load_language_model
from presample.models.lm.decode import Row, Session, decode
from presample.models.lm.sampling import Sampling

pytest.importorskip("transformers", reason="transformers writes the model and is what ours is compared with")
pytest.importorskip("tokenizers", reason="the tokenizers package trains the tokenizer")

LIVELY = Sampling(temperature=1.0, top_k=0, top_p=0.98, min_p=0.0)
PROMPTS = [
    [5, 9, 60, 61, 62, 63, 64],
    [5, 9],
    [7],
    [5, 9, 60, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114],
    [80, 81, 82],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_llama_folder(tmp_path_factory.mktemp("decode") / "model", num_key_value_heads=2)


@pytest.fixture(scope="module", params=["float32", "int8"])
def language(request, folder):
    if request.param == "int8" and not quant.available():
        pytest.skip("this torch or processor has no int8 kernels")
    return load_language_model(folder, device="cpu", precision=request.param)


@pytest.fixture(scope="module")
def exact(folder):
    """The model whose results are the same bit for bit in any batch."""
    if not quant.available():
        pytest.skip("this torch or processor has no int8 kernels")
    return load_language_model(folder, device="cpu", precision="int8")


def row(prompt, seed, *, penalty=1.2, **guide):
    return Row(prompt, Plain(**guide), torch.Generator().manual_seed(seed), repetition_penalty=penalty)


def write(language, rows, sampling=LIVELY, *, session=None, length=96, most=64, **more):
    session = session or Session(language, len(rows), length)
    decode(session, rows, sampling, max_new_tokens=most, **more)
    return rows


class Reads:
    """Notes the tokens of every prompt that is read, and 1 for every step of all rows."""

    def __init__(self, language, monkeypatch):
        self.tokens: list[int] = []
        forward, read = language.model.forward, language.model.read

        def counted(tokens, *args, **kwargs):
            self.tokens.append(tokens.shape[1])
            return forward(tokens, *args, **kwargs)

        def counted_spans(spans, cache):
            self.tokens.extend(len(span.tokens) for span in spans)
            return read(spans, cache)

        monkeypatch.setattr(language.model, "forward", counted)
        monkeypatch.setattr(language.model, "read", counted_spans)

    def prompts(self):
        return [count for count in self.tokens if count > 1]


# A row and those beside it


def every_row(undo=None):
    """Rows that differ in prompt, seed and length, some of them the same as another."""
    counts = [40, 7, 23, 12, 31]
    rows = [row(p, i, count=c, undo=undo) for i, (p, c) in enumerate(zip(PROMPTS, counts, strict=True))]
    return [*rows, row(PROMPTS[0], 9, count=3, undo=undo), row(PROMPTS[0], 10, count=17, undo=undo)]


def test_a_row_has_the_same_text_alone_and_in_a_ragged_batch_that_ends_row_by_row(language):
    together = write(language, every_row())
    assert len({tuple(r.written) for r in together}) == len(together)
    for index, r in enumerate(every_row()):
        assert write(language, [r])[0].tokens == together[index].tokens


def test_with_int8_the_probabilities_too_are_the_same_bit_for_bit(exact):
    together = write(exact, every_row())
    for index, r in enumerate(every_row()):
        assert write(exact, [r])[0].guide.taken == together[index].guide.taken


@pytest.mark.parametrize("length", [17, 33, 64, 100, 150, 201])
def test_with_int8_a_much_longer_row_beside_it_changes_no_bit(exact, length):
    prompt = random.Random(length).choices(range(400), k=length)
    short, long = row(PROMPTS[1], 1, count=30), row(prompt, 2, count=20)
    write(exact, [long, short], length=256)
    assert short.guide.taken == write(exact, [row(PROMPTS[1], 1, count=30)])[0].guide.taken
    assert long.guide.taken == write(exact, [row(prompt, 2, count=20)], length=256)[0].guide.taken


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_rows_makes_no_difference(exact, seed):
    order = random.Random(seed).sample(range(7), 7)
    rows, shuffled = every_row(), every_row()
    write(exact, rows)
    write(exact, [shuffled[i] for i in order])
    assert [r.guide.taken for r in rows] == [r.guide.taken for r in shuffled]


def test_rows_that_are_done_before_they_begin_change_nothing(exact):
    rows = [row(PROMPTS[0], 0, count=0), row(PROMPTS[1], 1, count=9), row(PROMPTS[2], 2, count=0)]
    write(exact, rows)
    assert [r.draws for r in rows] == [0, 9, 0]
    assert rows[1].guide.taken == write(exact, [row(PROMPTS[1], 1, count=9)])[0].guide.taken


def test_when_nothing_is_to_be_written_the_model_does_not_run(language, monkeypatch):
    reads = Reads(language, monkeypatch)
    write(language, [row(PROMPTS[0], 0, count=0)])
    assert reads.tokens == []


def test_greedy_text_is_that_of_transformers(folder):
    from transformers import AutoModelForCausalLM

    ours = load_language_model(folder, device="cpu", precision="float32")
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    theirs.generation_config.eos_token_id = None
    rows = write(ours, [row(p, 0, penalty=1.0, count=40) for p in PROMPTS], Sampling(temperature=0.0))
    for prompt, found in zip(PROMPTS, rows, strict=True):
        written = theirs.generate(
            torch.tensor([prompt]), max_new_tokens=40, do_sample=False, suppress_tokens=ours.never
        )
        assert found.tokens == written[0].tolist()


# What the cache holds


def test_equal_prompts_are_read_once(language, monkeypatch):
    reads = Reads(language, monkeypatch)
    write(language, [row(PROMPTS[0], seed, count=5) for seed in range(4)])
    assert reads.prompts() == [len(PROMPTS[0])]
    assert len(reads.tokens) == 1 + 4  # the last of five tokens is drawn and never read


def test_of_the_next_prompt_only_what_is_new_is_read(language, monkeypatch):
    session = Session(language, 1, 96)
    first = row(PROMPTS[0], 0, count=10)
    write(language, [first], session=session)
    reads = Reads(language, monkeypatch)
    write(language, [row([*first.tokens, 11, 12, 13], 0, count=1)], session=session)
    write(language, [row([*first.tokens[:5], 14, 15], 0, count=1)], session=session)
    assert reads.tokens == [4, 2]  # the last drawn token was not read before


def test_equal_prompts_are_read_twice_where_their_rows_know_different_parts(language, monkeypatch):
    session = Session(language, 2, 96)
    rows = write(language, [row(PROMPTS[0], seed, count=10) for seed in range(2)], session=session)
    reads = Reads(language, monkeypatch)
    next_prompt = [*rows[0].tokens, 70]
    write(language, [row(next_prompt, seed, count=1) for seed in range(2)], session=session)
    assert reads.tokens == [2, 11]


@pytest.mark.parametrize("extra", [[], [70], [70, 71, 72]])
def test_a_second_pass_has_the_logits_of_a_fresh_session(language, extra):
    session = Session(language, 2, 96)
    rows = write(language, [row(PROMPTS[0], 0, count=6), row(PROMPTS[1], 1, count=12)], session=session)
    prompts = [r.tokens + extra for r in rows]
    with torch.inference_mode():
        again = session.prefill([row(p, 0) for p in prompts])
        fresh = Session(language, 2, 96).prefill([row(p, 0) for p in prompts])
    torch.testing.assert_close(again, fresh, atol=2e-2 if language.precision == "int8" else 1e-4, rtol=0)


def test_a_second_pass_is_the_same_alone_and_beside_rows_that_ended_earlier(exact):
    counts, prompts = [4, 20, 9], [PROMPTS[0], PROMPTS[0], PROMPTS[1]]

    def both_passes(indices):
        session = Session(exact, len(indices), 96)
        rows = [row(prompts[i], i, count=counts[i]) for i in indices]
        write(exact, rows, session=session)
        second = [row([*r.tokens, 70, 71], i, count=10) for i, r in zip(indices, rows, strict=True)]
        return write(exact, second, session=session)

    together = both_passes([0, 1, 2])
    for i in range(3):
        assert both_passes([i])[0].guide.taken == together[i].guide.taken


def test_a_session_that_grows_keeps_what_its_rows_know(exact, monkeypatch):
    small = Session(exact, 2, 40)
    rows = write(exact, [row(PROMPTS[0], 0, count=6), row(PROMPTS[1], 1, count=12)], session=small)
    prompts = [[*r.tokens, 70, 71] for r in rows]
    large = small.grown(200)
    assert large.length == 200
    reads = Reads(exact, monkeypatch)
    grown = write(exact, [row(p, 0, count=30) for p in prompts], session=large)
    assert reads.prompts() == [3, 3]
    monkeypatch.undo()
    stayed = write(exact, [row(p, 0, count=18) for p in prompts], session=small)
    assert [r.guide.taken[:18] for r in grown] == [r.guide.taken for r in stayed]


# Going back


@pytest.mark.parametrize("back", [1, 2, 5])
def test_tokens_that_were_taken_back_leave_no_trace(language, back):
    plain = write(language, [row(PROMPTS[0], 0, penalty=1.0, count=30)], Sampling(temperature=0.0))[0]
    seven = {7 * n: back for n in range(1, 4)}
    undone = row(PROMPTS[0], 0, penalty=1.0, count=30 + 3 * back, undo=lambda step: seven.get(step, 0))
    write(language, [undone], Sampling(temperature=0.0))
    assert undone.tokens == plain.tokens


def test_going_back_in_one_row_changes_no_other(exact):
    alone = write(exact, [row(PROMPTS[1], 1, count=20)])[0]
    beside = row(PROMPTS[0], 0, count=40, undo=lambda step: 3 if step % 6 == 5 else 0)
    again = row(PROMPTS[1], 1, count=20)
    write(exact, [beside, again])
    assert again.guide.taken == alone.guide.taken


def test_a_guide_that_takes_everything_back_is_stopped(language):
    never_content = row(PROMPTS[0], 0, undo=lambda step: 1)
    write(language, [never_content], most=10)
    assert never_content.guide.stopped
    assert (never_content.draws, never_content.written) == (20, [])


# Ends


def test_writing_stops_at_the_most_new_tokens(language):
    rows = write(language, [row(PROMPTS[0], 0), row(PROMPTS[1], 1)], most=9)
    assert [len(r.written) for r in rows] == [9, 9]
    assert all(r.guide.stopped for r in rows)


def test_writing_stops_where_the_cache_ends(language):
    rows = write(language, [row(PROMPTS[0], 0), row(PROMPTS[1], 1)], length=12, most=64)
    assert [len(r.tokens) for r in rows] == [12, 12]
    assert all(r.guide.stopped for r in rows)
    assert rows[0].tokens == write(language, [row(PROMPTS[0], 0)], length=40, most=64)[0].tokens[:12]


def test_a_prompt_that_does_not_fit_says_so(language):
    with pytest.raises(ValueError, match="must fit 5 tokens, got 7; shorten the prompt"):
        write(language, [row(PROMPTS[0], 0)], length=5)
    with pytest.raises(ValueError, match="at least one token"):
        row([], 0)


@pytest.mark.parametrize("after", [0, 1, 5])
def test_the_caller_can_stop_within_one_token(language, after):
    steps = []
    with pytest.raises(Interrupted):
        write(
            language,
            [row(PROMPTS[0], 0), row(PROMPTS[1], 1)],
            should_stop=lambda: len(steps) == after,
            on_step=lambda: steps.append(1),
        )
    assert len(steps) == after


# What is drawn


def test_tokens_that_are_no_text_and_forbidden_ones_are_never_drawn(language):
    forbid = list(range(0, language.config.vocab_size, 2))
    rows = [row(PROMPTS[0], seed, count=40, forbid=forbid) for seed in range(5)]
    written = {token for r in write(language, rows, Sampling(2.0, 0, 1.0, 0.0)) for token in r.written}
    assert len(written) > 20
    assert not written & {*forbid, *language.never}


def test_a_row_with_nothing_left_to_draw_stops_and_changes_no_other(exact):
    stuck = row(PROMPTS[0], 0, forbid=range(exact.config.vocab_size))
    beside = row(PROMPTS[1], 1, count=12)
    write(exact, [stuck, beside])
    assert stuck.guide.stopped
    assert stuck.written == []
    assert beside.guide.taken == write(exact, [row(PROMPTS[1], 1, count=12)])[0].guide.taken


def test_the_penalty_is_for_what_was_written_and_spares_separators(language):
    hard = Sampling(temperature=0.0)
    prompts = (random.Random(seed).choices(range(400), k=60) for seed in range(200))
    prompt, likeliest = next((p, t) for p in prompts if (t := greedy(language, p, 1))[0] in p)
    assert (
        write(language, [row(prompt, 0, penalty=1000.0, count=1)], hard)[0].written == likeliest
    )  # nothing is written yet
    penalized = write(language, [row(PROMPTS[0], 0, penalty=1000.0, count=30)], hard)[0].written
    assert len(set(penalized)) == 30
    rows = [row(PROMPTS[0], 0, penalty=1000.0, count=30)]
    free = write(language, rows, hard, unpenalized=range(10**4))[0].written
    assert free == greedy(language, PROMPTS[0], 30)


def test_the_random_state_of_everybody_else_stays_as_it_is(language):
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    write(language, every_row())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert (np.random.get_state()[1] == before[2]).all()


def test_the_random_state_of_everybody_else_decides_nothing(language):
    one = write(language, [row(PROMPTS[0], 3, count=20)])[0].tokens
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        assert write(language, [row(PROMPTS[0], 3, count=20)])[0].tokens == one
    assert write(language, [row(PROMPTS[0], 4, count=20)])[0].tokens != one
