"""Different prompts decoded together are what each is alone."""

from dataclasses import replace

import pytest
from expansions_for_tests import MIXED

from presample.models.interrupt import Interrupted
from presample.models.lm import decode as decoding
from presample.models.tipo import writer
from presample.models.tipo.expand import expand, expand_each, expand_many
from presample.models.tipo.expansion import Request
from presample.models.tipo.options import ExpandOptions

PROMPTS = [
    "1girl, lake, night",
    "",
    "A girl stands by the water, and the moon is out.",
    MIXED,
    "1girl, lake, night",
    "forest\nBREAK\ncity, rain\nBREAK\nA small boat.",
    "tree, " * 40,
    "lake, night\nA girl stands by the water.",
]


def requests(**options):
    return [Request(prompt, options=ExpandOptions(seed=k, **options)) for k, prompt in enumerate(PROMPTS)]


def told(expansion):
    return replace(expansion, passes=(), seconds=0.0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tag_length": "very_short", "prose_length": "long"},
        {"prose_length": "none", "temperature": 1.3},
        {"tag_length": "none", "tag_repetition_penalty": 1.3},
    ],
)
def test_each_of_a_batch_is_what_it_is_alone(tipo, options):
    asked = requests(**options)
    for found, request in zip(expand_each(asked, tipo), asked, strict=True):
        assert told(found) == told(expand(request, tipo))


def test_options_that_a_batch_cannot_share_are_no_trouble(tipo):
    asked = [
        Request("lake", options=ExpandOptions(seed=3, temperature=t, layout=layout, task=task))
        for t, layout, task in [
            (0.5, "verbatim", "auto"),
            (1.2, "pony", "tags"),
            (0.5, "additions_first", "tags"),
            (1.2, "verbatim", "tag_to_long"),
        ]
    ]
    for found, request in zip(expand_each(asked, tipo), asked, strict=True):
        assert told(found) == told(expand(request, tipo))


def test_variations_and_seeds_of_their_own_are_the_same(tipo):
    request = Request("1girl, lake", options=ExpandOptions(seed=5))
    each = expand_each([replace(request, options=ExpandOptions(seed=5 + k)) for k in range(3)], tipo)
    many = expand_many(request, 3, tipo)
    assert [found.prompt for found in each] == [found.prompt for found in many]


def test_passes_begin_while_others_are_written_and_nothing_is_read_twice(tipo, monkeypatch):
    begun, decodes = [], []
    prefill = decoding.Session.prefill

    def watched(session, rows, **how):
        begun.append(len(rows))
        return prefill(session, rows, **how)

    def counted(*args, **hooks):
        decodes.append(1)
        return decoding.decode(*args, **hooks)

    monkeypatch.setattr(decoding.Session, "prefill", watched)
    monkeypatch.setattr(writer, "decode", counted)
    found = expand_each(requests(), tipo)
    assert begun[0] == len(PROMPTS)
    assert sum(begun) == sum(len(each.passes) for each in found)
    assert len(begun) > max(len(each.passes) for each in found)
    assert len(decodes) == 1


def test_a_prompt_too_long_for_the_session_is_written_in_a_larger_one(tipo, monkeypatch):
    asked = requests(max_new_tokens=200, tag_length="very_long")
    long = [Request("tree, " * n, options=asked[0].options) for n in (10, 60, 90)]
    sizes = []
    grown = decoding.Session.grown
    monkeypatch.setattr(
        decoding.Session, "grown", lambda session, length: sizes.append(length) or grown(session, length)
    )
    both = [asked[0], *long, *asked[1:]]
    for found, request in zip(expand_each(both, tipo), both, strict=True):
        assert told(found) == told(expand(request, tipo))
    assert sizes


def test_progress_names_the_number_of_the_request(tipo):
    seen = {}
    found = expand_each(requests(), tipo, on_progress=lambda p: seen.setdefault(p.variation, []).append(p))
    assert sorted(seen) == list(range(len(PROMPTS)))
    for number, progress in seen.items():
        assert [p.fraction for p in progress] == sorted(p.fraction for p in progress)
        assert progress[-1].settled.split(", ")[0] in found[number].prompt + found[number].prose


def test_a_stop_is_obeyed_within_a_token(tipo):
    calls = []
    with pytest.raises(Interrupted):
        expand_each(requests(), tipo, should_stop=lambda: calls.append(1) or len(calls) > 3)
    assert len(calls) == 4


def test_nothing_is_asked_of_the_model_when_one_of_the_options_is_wrong(tipo, monkeypatch):
    monkeypatch.setattr(writer, "decode", None)
    with pytest.raises(ValueError, match="temperature"):
        expand_each([*requests(), Request("lake", options=ExpandOptions(temperature=9.0))], tipo)
    with pytest.raises(ValueError, match="starts from prose"):
        expand_each([*requests(), Request("lake", options=ExpandOptions(task="long_to_tag"))], tipo)
    assert expand_each([], tipo) == ()
