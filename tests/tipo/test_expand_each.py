"""Different prompts decoded together are what each is alone."""

from dataclasses import replace

import pytest
from expansions_for_tests import MIXED

from presample.models.lm import decode as decoding
from presample.models.lm.decode import Interrupted
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


def test_one_decode_serves_a_pass_of_every_prompt(tipo, monkeypatch):
    sizes = []

    def watched(session, rows, *args, **hooks):
        sizes.append(len(rows))
        return decoding.decode(session, rows, *args, **hooks)

    monkeypatch.setattr(writer, "decode", watched)
    expand_each(requests(), tipo)
    assert sizes[0] == len(PROMPTS)
    alone = [len(expand(request, tipo).passes) for request in requests()]
    assert len(sizes) - sum(alone) == max(alone)


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
