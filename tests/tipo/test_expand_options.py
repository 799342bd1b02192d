"""Every option of an expansion: it matters, and a wrong value is named."""

from dataclasses import fields

import pytest
from expansions_for_tests import run

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
    "avoid_conflicts": (False, {"tag_length": "long"}),
    "ban_mode": ("substring", {"ban": "e"}),
    "variety": None,  # one variation shares nothing
    "compat": ("kgen-0.3.1", {"ban": "e"}),  # which was a part of a tag for it
}
EVERYTHING = "1girl, lake, night\nA girl stands by the water and waits."


@pytest.mark.parametrize("name", CHANGES)
def test_every_option_changes_what_comes_out_or_is_meant_not_to(tipo, name):
    value, others = CHANGES[name] or ({"model": "other", "variety": "tree"}[name], {})
    plain = run(EVERYTHING, tipo, **others)
    changed = run(EVERYTHING, tipo, **{**others, name: value})
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
}


@pytest.mark.parametrize(
    ("name", "value", "error"), [(n, *case) for n, cases in WRONG.items() for case in cases]
)
def test_a_wrong_option_is_named(tipo, name, value, error):
    with pytest.raises(error, match=rf"^{name} must "):
        run("1girl", tipo, **{name: value})
