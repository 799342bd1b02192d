"""Texts that go on where they were left, in any place of the cache, several after the same beginning."""

import pytest
import torch
from gguf_for_tests import save_llama_folder
from models_for_tests import Plain

from presample.models.lm import quant
from presample.models.lm.checkpoint import load_language_model
from presample.models.lm.decode import Row, Session, decode
from presample.models.lm.sampling import Sampling

pytest.importorskip("transformers", reason="transformers writes the model")
pytest.importorskip("tokenizers", reason="the tokenizers package trains the tokenizer")

LIVELY = Sampling(temperature=1.0, top_k=0, top_p=0.98, min_p=0.0)
PROMPTS = [[5, 9, 60, 61, 62, 63, 64], [5, 9], [5, 9, 60, 100, 101, 102]]
LENGTH = 96


@pytest.fixture(scope="module", params=["float32", "int8"])
def language(request, tmp_path_factory):
    if request.param == "int8" and not quant.available():
        pytest.skip("this torch or processor has no int8 kernels")
    folder = save_llama_folder(tmp_path_factory.mktemp("resume") / "model", num_key_value_heads=2)
    return load_language_model(folder, device="cpu", precision=request.param)


def write(session, rows, most=64):
    decode(session, rows, LIVELY, max_new_tokens=most)
    return rows


def resumed(row, count, generator=None):
    return Row(row.prompt, Plain(count=count), generator or row.generator, row.tokens)


def fresh_logits(language, text):
    with torch.inference_mode():
        return Session(language, 1, LENGTH).prefill([Row(text, Plain(), torch.Generator())])


def test_a_text_written_in_pieces_is_the_text_written_at_once(language):
    """Each piece in another place of the cache, beside others; the penalty is for all pieces."""
    seeds = range(len(PROMPTS))
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    whole = [
        write(Session(language, 1, LENGTH), [Row(p, Plain(count=30), torch.Generator().manual_seed(seed))])[0]
        for seed, p in zip(seeds, PROMPTS, strict=True)
    ]
    session = Session(language, 4, LENGTH)
    rows = write(session, [Row(p, Plain(count=6), g) for p, g in zip(PROMPTS, generators, strict=True)])
    for count, order in ((7, (2, 0, 1)), (4, (1, 2, 0)), (13, (1, 0, 2))):
        by_prompt = {tuple(row.prompt): row for row in rows}
        rows = write(session, [resumed(by_prompt[tuple(PROMPTS[i])], count) for i in order])
    assert {tuple(row.tokens) for row in rows} == {tuple(row.tokens) for row in whole}


def test_what_the_cache_holds_is_not_read_again(language, monkeypatch):
    session, reads = Session(language, 4, LENGTH), []
    one, other = write(
        session, [Row(p, Plain(count=9), torch.Generator().manual_seed(0)) for p in PROMPTS[:2]]
    )
    forward = language.model.forward

    def counted(tokens, *args, **kwargs):
        reads.append(tuple(tokens.shape))
        return forward(tokens, *args, **kwargs)

    monkeypatch.setattr(language.model, "forward", counted)
    monkeypatch.setattr(language.model, "read", None)
    rows = [resumed(other, 3), resumed(one, 3), resumed(one, 3), resumed(other, 3)]
    write(session, rows)
    assert reads == [(4, 1)] * 3


def test_texts_may_branch_off_inside_others_or_be_unknown(language):
    session = Session(language, 4, LENGTH)
    (first,) = write(session, [Row(PROMPTS[0], Plain(count=20), torch.Generator().manual_seed(0))])
    begun = [first.tokens, first.tokens[:15], [*first.tokens[:12], 90, 91, 92], [5, 70, 71]]
    rows = [Row(text[:2], Plain(), torch.Generator(), text) for text in begun]
    with torch.inference_mode():
        found = session.prefill(rows)
    expected = torch.cat([fresh_logits(language, text) for text in begun])
    tolerance = 2e-2 if language.precision == "int8" else 1e-4
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


def test_the_most_new_tokens_count_from_the_prompt_on(language):
    session = Session(language, 1, LENGTH)
    (row,) = write(session, [Row(PROMPTS[0], Plain(count=10), torch.Generator())])
    (row,) = write(session, [resumed(row, 10)], most=12)
    assert len(row.written) == 12
    assert row.guide.stopped


def test_a_row_does_not_share_its_tokens_with_the_one_it_goes_on_from(language):
    session = Session(language, 2, LENGTH)
    (row,) = write(session, [Row(PROMPTS[0], Plain(count=3), torch.Generator())])
    before = list(row.tokens)
    write(session, [resumed(row, 3), resumed(row, 5, torch.Generator().manual_seed(1))])
    assert row.tokens == before
