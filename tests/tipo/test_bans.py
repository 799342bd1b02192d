"""Bans: what a pattern bans and what it leaves, in tags and in sentences, and what a bad pattern says."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presample.models.prompt.escape import canonical
from presample.models.tipo.bans import BadPattern, compile_bans, list_words

TABLE = [
    # pattern, banned, left alone
    ("hat", ["hat", "Hat", " hat "], ["that girl", "witch hat", "hats", "chat"]),
    ("Witch Hat", ["witch hat", "witch_hat"], ["hat", "witch"]),
    ("witch_hat", ["witch hat", "WITCH_HAT", "witch  hat"], ["witch-hat"]),
    (r"saber \(fate\)", ["saber (fate)", r"saber \(fate\)", r"saber_\(fate\)"], ["saber"]),
    ("saber (fate)", [r"saber \(fate\)", "saber (fate)"], ["saber fate"]),
    ("1girl", ["1girl"], ["11girl", "1girls"]),
    (":)", [":)"], [":(", ":d"]),
    (":(", [":("], [":)"]),
    (":3", [":3"], [":30"]),
    ("^_^", ["^_^"], ["^ ^", "^o^"]),
    (">_<", [">_<"], ["> <"]),
    ("o_o", ["o_o", "O_O"], ["o o"]),
    ("+_+", ["+_+"], ["__", "+ +"]),
    ("|_|", ["|_|"], ["_"]),
    (":|", [":|"], [":"]),
    ("?", ["?"], ["a", "", "??"]),
    ("!?", ["!?"], ["!"]),
    ("...", ["..."], ["abc"]),
    ("$", ["$"], [""]),
    ("[x]", ["[x]"], ["x"]),
    ("c++", ["c++"], ["c", "ccc"]),
    (";)", [";)"], [";"]),
    ("1.5", ["1.5"], ["1x5"]),
    ("///", ["///"], ["/", "//"]),
    ("//", ["//"], ["", "/"]),
    ("fate/grand order", ["fate/grand order", "Fate/Grand_Order"], ["fate"]),
    (r"\m/", [r"\m/"], ["m/", "m"]),
    ("*text*", ["text", "english text", "text focus", "context"], ["tex t"]),
    ("*hair", ["hair", "blue hair", "hair over hair"], ["hair ornament"]),
    ("blue_*", ["blue hair", "blue_eyes"], ["light blue hair", "blueberry"]),
    ("*girl*", ["1girl", "girl", "magical girl"], ["1boy"]),
    ("a*b*c", ["abc", "a b c", "axxbxxc"], ["ab", "acb", "abcd"]),
    ("*(medium)", ["traditional media (medium)", r"photoshop_\(medium\)"], ["medium"]),
    ("*_*", ["^_^", "o_o"], ["blue hair"]),
    ("*", ["anything", ":)"], []),
    ("/hat/", ["hat"], ["that", "hats", "Hat"]),
    ("/Hat/", ["Hat"], ["hat", "HAT"]),
    ("/Hat/i", ["hat", "HAT"], ["hats"]),
    ("/.*hat/", ["hat", "witch hat", "that"], ["hats"]),
    (r"/.*\bhat\b.*/", ["hat", "witch hat", "hat ribbon"], ["that", "hats"]),
    ("/^(red|blue) (hair|eyes)$/", ["red hair", "blue_eyes"], ["green hair", "red hair ornament"]),
    ("/.*_hair/", ["blue hair", "blue_hair"], ["hair"]),
    ("/[a-z]{1,2},[a-z]/", ["ab,c"], ["abc"]),
    (r"/\d+girls?/", ["1girl", "12girls"], ["girl", "multiple girls"]),
    (r"/6\+girls/", ["6+girls"], ["66girls"]),
    ("/fate/grand order/", ["fate/grand order"], ["fate"]),
    (r"/a\/b/", ["a/b"], ["a", "b"]),
    (r"/\^_\^/", ["^_^"], ["^ ^"]),
    ("/ä+ß/i", ["ÄÄß"], ["a"]),
]


@pytest.mark.parametrize(("pattern", "banned", "left"), TABLE, ids=[row[0] for row in TABLE])
def test_a_pattern_bans_these_tags_and_leaves_those(pattern, banned, left):
    bans = compile_bans(pattern)
    assert {tag: bans.match(tag) for tag in banned} == dict.fromkeys(banned, pattern)
    assert {tag: bans.match(tag) for tag in left} == dict.fromkeys(left)


def test_patterns_are_listed_by_lines_and_commas():
    bans = compile_bans(" hat , :)\n\n/a{1,2}, b/i,,\r\nblue_*,\t^_^ \n")
    matched = [bans.match(tag) for tag in ("hat", ":)", "AA, b", "blue sky", "^_^", "b", "")]
    assert matched == ["hat", ":)", "/a{1,2}, b/i", "blue_*", "^_^", None, None]


def test_the_commas_of_other_writing_part_patterns_too_but_for_those_in_an_expression():
    bans = compile_bans("boat，tree、lake, /[x，y]+/、/a/i，blue_*、")
    matched = [bans.match(tag) for tag in ("boat", "tree", "lake", "x，y", "A", "blue sky", "boat，tree")]
    assert matched == ["boat", "tree", "lake", "/[x，y]+/", "/a/i", "blue_*", None]


def test_words_are_listed_by_lines_and_commas():
    assert list_words(" red hair，lake、sky,\n\r\n , a/b,") == ["red hair", "lake", "sky", "a/b"]
    assert list_words("") == []


@pytest.mark.parametrize("mode", ["tag", "substring"])
@pytest.mark.parametrize("text", ["____", "\u200b"])
def test_what_is_no_tag_bans_nothing(text, mode):
    bans = compile_bans(text, mode=mode)
    assert not bans
    assert bans.match("boat") is None
    assert bans.match_sentence("A boat.") is None


def test_a_tag_is_banned_by_the_first_of_the_patterns_that_say_the_same():
    assert compile_bans("Blue_Hair, blue hair").match("blue hair") == "Blue_Hair"


@pytest.mark.parametrize("text", ["", "  ", ",,\n ,", "\r\n"])
def test_an_empty_list_bans_nothing_and_is_false(text):
    bans = compile_bans(text)
    assert not bans
    assert bans.match("hat") is None
    assert bans.match_sentence("A hat.") is None


@given(st.text(max_size=60), st.sampled_from(["tag", "substring"]))
def test_any_text_is_a_list_of_bans_or_a_clear_error(text, mode):
    error = None
    try:
        bans = compile_bans(text, mode=mode)
        bans.match(text)
        bans.match_sentence(text)
    except BadPattern as caught:
        error = caught
    assert error is None or error.pattern in text
    assert error is None or repr(error.pattern) in str(error)


PLAIN = st.text(st.characters(exclude_characters="*/,，、\n\r\\"), min_size=1)


@given(PLAIN.map(str.strip).filter(canonical))
def test_plain_text_bans_itself_in_both_modes(text):
    assert compile_bans(text).match(text) == text
    assert compile_bans(text, mode="substring").match(f"a {text} b" if len(text) > 3 else text) == text


@pytest.mark.parametrize(
    ("text", "pattern", "reason"),
    [
        ("hat, /(a/, b", "/(a/", r"'\(' is never closed \(character 2\)"),
        ("/a**/", "/a**/", "cannot be repeated"),
        ("/(?=a)b/", "/(?=a)b/", "lookaround"),
        (r"/(a)\1/", r"/(a)\1/", "backreference"),
        ("/hat/g", "/hat/g", "i or nothing, got 'g'"),
        ("hat\n/ha.*", "/ha.*", "must be closed"),
        ("/[,]/, /[/", "/[/", "never closed"),
        ("/" + "x" * 300 + "/", "/" + "x" * 300 + "/", "200 characters"),
        ("*" + "x" * 300, "*" + "x" * 300, "200 characters"),
        ("/((a{30}){30}){30}/", "/((a{30}){30}){30}/", "1000 parts"),
        ("/(?P<x>a)/", "/(?P<x>a)/", "allowed are"),
    ],
)
def test_a_bad_pattern_is_named_with_its_fault(text, pattern, reason):
    with pytest.raises(BadPattern, match=reason) as caught:
        compile_bans(text)
    assert caught.value.pattern == pattern
    assert repr(pattern) in str(caught.value)


def test_an_unknown_mode_names_the_known_ones():
    with pytest.raises(ValueError, match="tag, substring; got 'regex'"):
        compile_bans("hat", mode="regex")


def test_many_large_patterns_are_refused_together():
    text = "\n".join(f"/{chr(97 + i)}{{900}}/" for i in range(6))
    with pytest.raises(BadPattern, match="5000 parts"):
        compile_bans(text)


def test_no_list_of_bans_can_hang():
    evil = ["(a*)*b", "(a|a)*b", r"(\w*\s?)*b", "(.*.*)*b", "(a?){60}a{60}b", "(?:a|b)*a(?:a|b){60}"]
    text = "\n".join(f"/{source}/" for source in evil) + "\n" + "*a" * 40 + "*b\n" + ",/a" * 20_000
    started = time.process_time()
    for mode in ("tag", "substring"):
        bans = compile_bans(text, mode=mode)
        bans.match("a" * 10_000 + "c")
        bans.match_sentence("a " * 5_000)
    assert time.process_time() - started < 30  # one of these patterns alone would take `re` for ever


SENTENCES = [
    ("hat", "She wears a hat.", True),
    ("hat", "A Hat, red and tall", True),
    ("hat", "That girl chats about chatter.", False),
    ("hat", "That girl chats about hats.", True),
    ("hats", "That girl has a hat.", False),
    ("bush", "Some bushes grow here.", True),
    ("butterfly", "Butterflies are in the air.", True),
    ("toy", "There are toys.", True),
    ("hat", "That chatty girl likes that hat", True),
    ("blue hair", "A girl with blue  hair\nat the sea", True),
    ("blue_hair", "Her blue hair is long.", True),
    ("blue", "a blue-haired girl", True),
    ("blue hair", "blue-haired", False),
    ("saber (fate)", r"Here is saber \(fate\), smiling", True),
    (":)", "she smiles :) at us", True),
    ("^_^", "she smiles ^_^ at us", True),
    ("*hair*", "a pink hairband", True),
    ("hair*", "blue-haired", True),
    ("hair*", "hairs", True),
    ("blue * hair", "blue wavy hair", True),
    ("blue*hair", "blue eyes, red hair", False),
    ("/h.t/", "a hot day", True),
    ("/h.t/", "a shot, hats", False),
    ("/^hat$/", "a hat!", True),
    ("/HAT/i", "a hat!", True),
    ("/HAT/", "a hat!", False),
    ("/.*moon.*/", "The moon is up.", True),
]


@pytest.mark.parametrize(("pattern", "sentence", "banned"), SENTENCES)
@pytest.mark.parametrize("mode", ["tag", "substring"])
def test_a_sentence_is_banned_for_whole_words(pattern, sentence, banned, mode):
    found = compile_bans(pattern, mode=mode).match_sentence(sentence)
    assert found == (pattern if banned else None)


WORDS = [
    "hat",
    "that girl",
    "chat",
    "blue hair",
    "english text",
    "text",
    "1girl",
    "hatsune miku",
    "a.b",
    "girl",
]


def _kgen_bans(pattern: str, tag: str) -> bool:
    """The rule of KGen 0.3.1, `executor/tipo.py: tag_filter`, restated."""
    return pattern in tag or re.match(pattern, tag) is not None


@given(
    st.sampled_from(
        ["hat", "text", "^blue", "girl$", r"\d+girl", "(blue|red) hair", "[hc]hat", "a.b", "t.+t", "x?h"]
    )
    | st.text("hatgirl .", min_size=1, max_size=4).map(str.strip).filter(bool),
    st.sampled_from(WORDS) | st.text("hatgirl .", max_size=8),
)
def test_substring_mode_reaches_as_far_as_kgen(pattern, tag):
    tag = " ".join(tag.split())
    bans = compile_bans(pattern, mode="substring")
    if "  " not in pattern:
        assert (bans.match(tag) is not None) == _kgen_bans(pattern, tag)


@pytest.mark.parametrize(
    "pattern", [":)", ":(", "*text*", "^_^", "(((", "[", "+", "?", "a**", r"(?=x)", r"\q", "*"]
)
def test_substring_mode_reads_what_is_no_expression_as_text(pattern):
    bans = compile_bans(pattern, mode="substring")
    assert bans.match(pattern) == pattern


def test_substring_mode_finds_stars_and_expressions_in_a_part_of_a_tag():
    bans = compile_bans("bl*e eyes, /ha.r/", mode="substring")
    assert bans.match("light blue eyes open") == "bl*e eyes"
    assert bans.match("long_hair ornament") == "/ha.r/"
    assert bans.match("hat") is None
