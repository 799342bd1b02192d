"""Every option of an expansion: it matters, and a wrong value is named."""

import itertools
from dataclasses import fields

import pytest
from expansions_for_tests import added_prose, added_tags, run

from presample.models.lm.decode import Session, decode
from presample.models.tipo import writer
from presample.models.tipo.options import ExpandOptions

# A value that is not the default, and what else a request needs to show that it matters; None: it changes
# nothing for one request of a loaded model, on purpose.
CHANGES = {
    "model": None,  # `load_tipo` is told the name
    "seed": (1, {}),
    "tag_length": ("short", {}),
    "prose_length": ("none", {}),
    "ban": ("*", {}),
    "protect": ("lake", {}),
    "layout": ("additions_first", {}),
    "width": (512, {}),
    "height": (512, {}),
    "form": ("tags", {}),
    "regions": ("lines", {}),
    "rating": ("explicit", {}),
    "meta": ("lowres", {}),
    "quality": ("low quality", {}),
    "temperature": (2.0, {}),
    "top_k": (1, {}),
    "top_p": (0.1, {}),
    "min_p": (0.9, {}),
    "tag_repetition_penalty": (1.9, {}),
    "prose_repetition_penalty": (2.0, {"prose_length": "long"}),
    "max_new_tokens": (16, {}),
    "avoid_conflicts": (False, {"tag_length": "very_long"}),
    "ban_mode": ("substring", {"ban": "e"}),
    "variety": None,  # one variation shares nothing
    "compat": ("kgen-0.3.1", {"ban": "e"}),  # which was a part of a tag for it
    "task": ("tag_to_long", {}),
}
EVERYTHING = "1girl, lake, night\nA girl stands by the water and waits."


@pytest.mark.parametrize("name", CHANGES)
def test_every_option_changes_what_comes_out_or_is_meant_not_to(tipo, name):
    value, others = CHANGES[name] or ({"model": "other", "variety": "tree"}[name], {})
    for seed in range(2, 10 if CHANGES[name] else 3):
        plain = run(EVERYTHING, tipo, **{"seed": seed, **others})
        changed = run(EVERYTHING, tipo, **{"seed": seed, **others, name: value})
        if changed.prompt != plain.prompt:
            break
    assert (changed.prompt == plain.prompt) == (CHANGES[name] is None)
    if name != "layout":
        assert changed.prompt.startswith("1girl, lake, night")


def test_every_option_is_in_the_table():
    assert [field.name for field in fields(ExpandOptions)] == list(CHANGES)


WRONG = {
    "seed": [(-1, ValueError), (2**64, ValueError), ("1", TypeError), (True, TypeError)],
    "tag_length": [("huge", ValueError), (3, TypeError)],
    "prose_length": [("", ValueError)],
    "ban": [(None, TypeError)],
    "width": [(0, ValueError), (100_000, ValueError)],
    "height": [(1.5, TypeError)],
    "form": [("poem", ValueError)],
    "regions": [("columns", ValueError)],
    "rating": [("x", ValueError)],
    "temperature": [(-0.1, ValueError), (2.5, ValueError), ("hot", TypeError), (float("nan"), ValueError)],
    "top_p": [(1.1, ValueError)],
    "min_p": [(-1.0, ValueError)],
    "top_k": [(-1, ValueError), (1.5, TypeError)],
    "max_new_tokens": [(0, ValueError)],
    "avoid_conflicts": [(1, TypeError)],
    "ban_mode": [("regex", ValueError)],
    "variety": [("forest", ValueError)],
    "compat": [("kgen", ValueError)],
    "task": [("long_to_short", ValueError)],
}


@pytest.mark.parametrize(
    ("name", "value", "error"), [(n, *case) for n, cases in WRONG.items() for case in cases]
)
def test_a_wrong_option_is_named(tipo, name, value, error):
    with pytest.raises(error, match=rf"^{name} must "):
        run("1girl", tipo, **{name: value})


@pytest.mark.parametrize("compat", ["none", "kgen-0.3.1"])
@pytest.mark.parametrize(
    "prompt", ["", "1girl, solo", "A cat sits on a chair.", "1girl, solo\nA girl stands."]
)
def test_every_combination_of_what_is_given_and_wanted_works(tipo, compat, prompt):
    for tags, prose in itertools.product(("none", "very_short"), repeat=2):
        found = run(prompt, tipo, compat=compat, tag_length=tags, prose_length=prose)
        assert found.prompt.startswith(prompt)
        if compat == "none":
            assert (tags != "none") == bool(added_tags(found))
            assert prose == "none" or added_prose(found) or found.notes
            assert prose != "none" or not added_prose(found)


def test_penalties_spare_what_parts_tags_and_sentences(tipo, monkeypatch):
    asked, begun = [], []
    monkeypatch.setattr(writer, "decode", lambda *a, **k: asked.append(k) or decode(*a, **k))
    prefill = Session.prefill
    monkeypatch.setattr(
        Session, "prefill", lambda s, rows, **how: begun.extend(rows) or prefill(s, rows, **how)
    )
    run("1girl", tipo, tag_repetition_penalty=1.9, prose_repetition_penalty=1.3)
    assert [row.repetition_penalty for row in begun] == [1.9, 1.3]
    marks = {token for mark in (b",", b".", b"\n") for token in tipo.language.tokens_with(mark)}
    assert len(marks) >= 3
    assert all(marks <= set(more["unpenalized"]) for more in asked)
