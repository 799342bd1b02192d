"""Lists of heads as text, and prompts cut to what a model reads."""

import pytest

from presample.models.mmh_dit.config import FULL
from presample.models.mmh_dit.heads import HeadOptions, allocate, parse_heads, show_heads, write_heads
from presample.models.mmh_dit.text import TextOptions, fit

END, PAD = (1, 1.0), (0, 1.0)


def test_the_default_list_is_that_of_the_full_model():
    assert allocate(HeadOptions()).heads == FULL.heads
    assert parse_heads("8x8, 16x8, 24x8, 48x8") == FULL.heads
    assert parse_heads(write_heads(FULL.heads)) == FULL.heads


@pytest.mark.parametrize(
    ("text", "heads"), [("8", (8,)), ("8 16;24", (8, 16, 24)), ("4*2,8x1", (4, 4, 8)), (" 8,\n8 ", (8, 8))]
)
def test_lists_are_read_however_they_are_parted(text, heads):
    assert parse_heads(text) == heads


@pytest.mark.parametrize(
    "text", ["", ",", "8x", "x8", "eight", "-8", "8.5", "1x2000", "9999999", "8x99999999"]
)
def test_what_is_no_list_is_refused(text):
    with pytest.raises(ValueError, match="heads must"):
        parse_heads(text)


def test_every_allocation_is_made_and_shown():
    shown = show_heads(allocate(HeadOptions(kind="reversed", depth=4, hidden=192, counts="4, 8")))
    assert shown == "blocks 0 to 1: 8 heads of size 24\nblocks 2 to 3: 4 heads of size 48\n" + (
        "width 192, 4 blocks, 2 head sizes"
    )
    assert show_heads(allocate(HeadOptions(kind="uniform", depth=1, hidden=64, counts="1"))) == (
        "block 0: 1 head of size 64\nwidth 64, 1 block, 1 head size"
    )


@pytest.mark.parametrize(
    ("ids", "length", "padding", "wanted"),
    [
        ([5, 6, 1], 256, "none", [5, 6, 1]),
        ([5, 6, 1, 0, 0], 256, "none", [5, 6, 1]),
        ([5, 6, 7, 1], 3, "none", [5, 6, 1]),
        ([5, 6], 256, "none", [5, 6, 1]),
        ([1, 0, 0], 4, "none", [1]),
        ([5, 1], 4, "visible", [5, 1, 0, 0]),
        ([5, 6, 7, 8, 1], 4, "visible", [5, 6, 7, 1]),
        ([5, 1, 6, 1, 0], 256, "none", [5, 1, 6, 1]),
    ],
)
def test_a_prompt_is_cut_to_its_length(ids, length, padding, wanted):
    made = fit(
        [(token, 1.0) for token in ids], end=END, pad=PAD, options=TextOptions(length=length, padding=padding)
    )
    assert [token for token, _ in made] == wanted


def test_weights_and_embeddings_pass():
    embedding = object()
    made = fit([(embedding, 1.2), (7, 0.5), END], end=END, pad=PAD, options=TextOptions())
    assert made == [(embedding, 1.2), (7, 0.5), END]
