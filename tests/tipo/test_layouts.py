"""What a request and its regions become, with no model: the box for prose, and the words of layouts."""

import pytest

from presample.models.tipo.expansion import RegionExpansion, Request
from presample.models.tipo.layouts import lay_out, lay_out_regions, read_request, unexpanded
from presample.models.tipo.options import ExpandOptions
from presample.models.tipo.tags import load_tags

PONY = "score_9, score_8_up, score_7_up, score_6_up, score_5_up, score_4_up"
QUALITY = "masterpiece, best quality, amazing quality, very aesthetic, newest"


def laid_out(prompt, *, prose="", added=(), drop=(), comments="auto", **options):
    """An expansion that adds tags, by category, to the first region."""
    request = Request(prompt, prose, ExpandOptions(**options), comments=comments, drop=drop)
    document = read_request(request, load_tags())
    regions = [
        RegionExpansion(each.text, load_tags().classify(each.tags), {}, each.prose)
        for each in document.regions
    ]
    if added:
        regions[0] = RegionExpansion(
            regions[0].text, regions[0].user_tags, dict(added), regions[0].user_prose
        )
    return lay_out_regions(request, document, regions, seed=0)


@pytest.mark.parametrize(
    ("prompt", "prose", "options", "expected"),
    [
        ("1girl", "A girl stands", {}, "1girl\nA girl stands"),
        ("1girl, ", "A girl stands", {}, "1girl,\nA girl stands "),
        ("", "A girl stands", {}, "A girl stands"),
        ("1girl BREAK lake", "A girl stands", {}, "1girl\nA girl stands BREAK lake"),
        ("(1girl)BREAK lake", "A girl stands", {}, "(1girl)\nA girl stands BREAK lake"),
        ("BREAK lake", "A girl stands", {}, "A girl stands BREAK lake"),
        ("1girl # hair", "A girl stands.", {}, "1girl # hair\nA girl stands."),
        ("blurry :-1 AND lake :1", "A red boat", {}, "blurry :-1 AND lake\nA red boat :1"),
        ("blurry :-1 AND", "A red boat", {}, "blurry :-1 AND A red boat"),
        ("1girl # hair", "A girl stands.", {"regions": "lines"}, "1girl, A girl stands. # hair"),
        ("1girl,# hair", "A girl stands.", {"regions": "lines"}, "1girl, A girl stands. # hair"),
        ("# hair", "A girl stands.", {"regions": "lines"}, "A girl stands. # hair"),
        ("A lake.", "A girl stands.", {"regions": "lines"}, "A lake. A girl stands."),
        ("(1girl\nlake", "A girl stands.", {"regions": "lines"}, "A girl stands. (1girl\nlake"),
        ("(1girl\nlake", "A girl", {"regions": "lines"}, "A girl, (1girl\nlake"),
        ("lake\n1girl", "A girl\r\n stands.\n", {"regions": "lines"}, "lake, A girl stands.\n1girl"),
        ("lake", "A girl. # hair\nShe runs.", {"regions": "lines"}, "lake, A girl. She runs."),
    ],
)
def test_prose_of_its_own_box_is_a_part_of_the_picture_and_moves_no_line(prompt, prose, options, expected):
    made = laid_out(prompt, prose=prose, comments="webui", **options)
    assert made.prompt == made.user_prompt == expected
    assert made.original == prompt


@pytest.mark.parametrize("prompt", ["1girl, bow # hair", "1girl", "(1girl", "", "# hair", "A lake. /* x */"])
@pytest.mark.parametrize("regions", ["break", "lines"])
def test_the_units_of_a_box_stand_where_they_say(prompt, regions):
    request = Request(prompt, "A girl stands, waiting.", ExpandOptions(regions=regions), comments="webui")
    (region,) = read_request(request, load_tags()).regions
    assert [region.text[unit.start : unit.end] for unit in region.units] == [u.text for u in region.units]
    assert sorted(u.start for u in region.units) == [u.start for u in region.units]
    assert "A girl stands, waiting." in [unit.text for unit in region.units]


@pytest.mark.parametrize(
    ("prompt", "options", "expected"),
    [
        ("1girl AND bad hands, lake :-0.5", {}, f"{PONY}, 1girl AND bad hands, lake :-0.5"),
        ("1girl AND lake :0.5", {}, f"{PONY}, 1girl AND {PONY}, lake :0.5"),
        ("1girl BREAK lake", {}, f"{PONY}, 1girl BREAK {PONY}, lake"),
        ("BREAK lake", {}, f"BREAK {PONY}, lake"),
        ("", {}, PONY),
        ("1girl\n\nlake", {"regions": "lines"}, f"{PONY}, 1girl\n\nlake"),
        ("\n1girl", {"regions": "lines"}, f"\n{PONY}, 1girl"),
        ("1girl\nscore_9", {"regions": "lines"}, f"{PONY.removeprefix('score_9, ')}, 1girl\nscore_9"),
    ],
)
def test_words_of_a_layout_stand_once_in_what_the_picture_shows(prompt, options, expected):
    made = laid_out(prompt, layout="pony", **options)
    assert made.prompt == made.user_prompt == expected


@pytest.mark.parametrize(
    ("bans", "expected"),
    [
        ({"ban": "score_4_up"}, f"{PONY.removesuffix(', score_4_up')}, rating_safe, 1girl"),
        ({"ban": "score*"}, "rating_safe, 1girl"),
        ({"ban": "RATING SAFE"}, f"{PONY}, 1girl"),
        ({"drop": ("score_9", "rating_safe")}, f"{PONY.removeprefix('score_9, ')}, 1girl"),
        ({"ban": "up", "ban_mode": "substring"}, "score_9, rating_safe, 1girl"),
    ],
)
def test_bans_hold_for_what_a_layout_writes(bans, expected):
    assert laid_out("1girl", layout="pony", added={"rating": ("safe",)}, **bans).prompt == expected


def test_bans_hold_when_an_expansion_is_laid_out_again_and_leave_the_users_words():
    request = Request("score_9, 1girl", "", ExpandOptions(ban="score*, best*"))
    made = unexpanded(request, read_request(request, load_tags()), load_tags())
    assert lay_out(made, "pony", tags=load_tags()).prompt == "score_9, 1girl"
    without = QUALITY.replace("best quality, ", "")
    assert lay_out(made, "illustrious", tags=load_tags()).prompt == f"score_9, {without}, 1girl"
