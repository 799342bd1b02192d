"""What guides let through: whatever the model would like to write, tags and sentences are as was asked."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from writer_for_tests import Teller, Writer, draft, write

from presample.models.lm.sampling import Sampling
from presample.models.prompt.document import canonical
from presample.models.tipo.draft import REPEATED, UNSAFE
from presample.models.tipo.guide import TRIES, ProseGuide, TagGuide
from presample.models.tipo.lengths import LIMITS, limits
from presample.models.tipo.tag_words import QUALITY

WORDS = ("long", "hair", "blue", "sky", "red", "solo", "focus", "dress", "star", "girl", "tree")
MANY = [
    f"{colour} {thing}" for colour, thing in itertools.product("abcdefghijkl", ("cup", "hat", "key", "map"))
]
MANY += [f"{thing} {n}" for thing in ("rock", "lamp", "door") for n in range(10)]


def tags(writer, own, *, have=0, least=0, most=10**6, seed=0, **how):
    guide = TagGuide(writer, own, have=have, least=least, most=most)
    write(guide, writer, seed=seed, **how)
    return guide


def prose(writer, own, *, have=0, least=0, most=10**6, seed=0, **how):
    guide = ProseGuide(writer, own, have=have, least=least, most=most)
    write(guide, writer, seed=seed, **how)
    return guide


# Tags that may not be there


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("prompt", "options", "wrong"),
    [
        ("", {"ban": "blue sky"}, ["blue sky"]),
        ("", {"ban": "blue *"}, ["blue sky", "blue dress", "blue hair"]),
        ("", {"ban": "/.*hair/"}, ["long hair", "blue hair", "red hair"]),
        ("", {"ban": "sky", "ban_mode": "substring"}, ["blue sky", "red sky"]),
        ("long hair", {}, ["long hair", "Long_Hair", "LONG  HAIR"]),
        ("1girl, (blue_dress:1.2), [red dress]", {}, ["blue dress", "red dress"]),
        ("1girl, blue hair", {}, ["red hair"]),
        ("night", {}, ["blue sky"]),
        ("", {}, ["a # b", "http://x", "BREAK", "__x__"]),
    ],
)
def test_a_tag_that_may_not_be_there_never_is(prompt, options, wrong, seed):
    right = ["tree", "star", "girl 1", "red tree", "blue tree", "hat", "lamp"]
    writer = Writer({**dict.fromkeys(wrong, 4.0), **dict.fromkeys(right, 1.0)}, words=WORDS)
    guide = tags(writer, draft(prompt, **options), least=5, most=5, seed=seed)
    assert sorted(guide.found) == sorted({*guide.found})
    assert set(guide.found) <= set(right)
    assert guide.count == len(guide.found) == 5


def test_with_conflicts_allowed_the_model_may_contradict():
    writer = Writer(["red hair"], words=WORDS)
    assert tags(writer, draft("1girl, blue hair", avoid_conflicts=False), most=1).found == ["red hair"]
    refused = tags(writer, draft("1girl, blue hair"), most=1)
    assert refused.found == []
    assert refused.refused == {"red hair": "contradicts your 'blue hair'"}


@pytest.mark.parametrize("seed", range(5))
def test_a_tag_is_written_once_however_often_and_however_spelled_the_model_wants_it(seed):
    items = [*MANY[:30], *(t.upper() for t in MANY[:30]), *(t.replace(" ", "_") for t in MANY[:30])]
    guide = tags(Writer(items), draft(), least=30, most=30, seed=seed)
    assert {canonical(tag) for tag in guide.found} == {*MANY[:30]}
    assert len(guide.found) == 30


def test_only_the_last_real_choice_is_taken_back():
    writer = Writer({"blue sky": 50.0, "blue dress": 1.0, "tree": 1.0}, words=WORDS)
    found = [tags(writer, draft(ban="blue sky"), most=1, seed=seed).found for seed in range(20)]
    assert ["blue dress"] in found
    assert all(each in (["blue dress"], ["tree"]) for each in found)


def test_reasons_are_reported_but_for_what_is_there_already():
    own = draft("1girl, blue hair, tree", ban="blue *")
    items = {"blue sky": 9.0, "red hair": 9.0, "a # b": 9.0, "tree": 9.0, "lamp": 1.0, "hat": 1.0}
    for seed in range(10):
        guide = tags(Writer(items, words=WORDS), own, most=1, seed=seed)
        own.refused.update(guide.refused)
    assert own.refused["tree"] == REPEATED
    assert dict(own.reasons()) == {
        "blue sky": "banned by 'blue *'",
        "red hair": "contradicts your 'blue hair'",
        "a # b": UNSAFE,
    }


def test_a_model_that_wants_nothing_else_is_given_up():
    writer = Writer(["tree"], words=WORDS, noise=0.0)
    guide = tags(writer, draft("tree"), least=5, most=5)
    assert guide.done
    assert guide.found == []
    noisy = Writer(["tree"], words=WORDS, noise=1e-12)
    assert write(TagGuide(noisy, draft("tree"), have=0, least=5, most=5), noisy) < (TRIES + 2) * 40


# How many tags


@pytest.mark.parametrize("length", LIMITS)
@pytest.mark.parametrize("compat", ["none", "kgen-0.3.1"])
@pytest.mark.parametrize("have", [0, 5, 17, 71])
@pytest.mark.parametrize("eager", [True, False])
def test_there_are_at_least_and_at_most_so_many_tags(length, compat, have, eager):
    bounds = limits(length, compat)
    ends = {",": 1.0, "\n": 50.0, "": 50.0} if eager else {",": 1.0}
    guide = tags(
        Writer(MANY, ends=ends), draft(), have=have, least=bounds.min_tags, most=bounds.max_tags, seed=have
    )
    assert guide.count == have + len(guide.found)
    assert guide.count >= bounds.min_tags
    assert guide.count <= max(bounds.max_tags, have)
    assert eager or guide.count == max(bounds.max_tags, have)
    assert not eager or guide.count <= max(bounds.min_tags, have + 1) + 1


def test_tags_of_other_kinds_do_not_count():
    others = [*QUALITY, "absurdres", "hatsune miku", "vocaloid", "wlop"]
    items = {**dict.fromkeys(others, 1.0), **dict.fromkeys(MANY[:12], 1.0)}
    for seed in range(10):
        guide = tags(Writer(items, ends={",": 1.0, "\n": 9.0}), draft(), least=6, most=8, seed=seed)
        counted = [tag for tag in guide.found if tag in MANY]
        assert 6 <= len(counted) == guide.count <= 8
        assert set(guide.found) - set(counted) <= set(others)


# Whole tags


@pytest.mark.parametrize("most", range(1, 60, 2))
def test_a_tag_that_the_limit_of_tokens_cuts_is_never_returned(most):
    guide = tags(Writer(MANY), draft(), least=50, most=50, most_tokens=most)
    assert set(guide.found) <= set(MANY)
    assert guide.stopped


@pytest.mark.parametrize("end", [",", "\n", ""])
def test_every_letter_may_be_the_last_of_a_tag(end):
    items = [
        f"{name}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz" for name in ("cloud", "<s>"[1:2] + "x")
    ]
    for item in items:
        guide = tags(Writer([item], ends={end: 1.0}), draft(), least=0, most=1)
        assert guide.found == [item]


@pytest.mark.parametrize("end", [",", "\n", ",\n", ""])
def test_letters_in_the_token_of_a_separator_belong_to_the_tag(end):
    for seed in range(10):
        guide = tags(Writer(["star (sky)", "lamp (x)"], ends={end: 1.0}), draft(), most=2, seed=seed)
        assert set(guide.found) <= {"star (sky)", "lamp (x)"}
        assert guide.found


def test_a_refused_tag_that_ends_inside_a_token_is_taken_back_too():
    items = {"star (sky)": 50.0, "star (x)": 1.0, "lamp": 1.0}
    for seed in range(20):
        guide = tags(Writer(items, words=WORDS), draft(ban="star (sky)"), most=1, seed=seed)
        assert guide.found in (["star (x)"], ["lamp"])


def test_nothing_is_glued_to_the_front_of_a_tag():
    guide = TagGuide(Writer(MANY), draft(), have=0, least=0, most=9)
    glued = {token for token, piece in enumerate(guide.pieces) if piece in (b',"', b",'", b', "')}
    assert len(glued) == 3
    assert glued <= {*guide.forbidden()}
    noisy = Writer(MANY, noise=0.001)
    for seed in range(5):
        guide = tags(noisy, draft(), least=20, most=20, seed=seed)
        assert len(guide.found) == 20
        assert not [tag for tag in guide.found if tag != tag.strip() or "," in tag or "\n" in tag or not tag]


def test_broken_characters_are_taken_back():
    writer = Writer(["caf\xe9 sign", "lamp", "hat"], noise=0.002)
    for seed in range(10):
        for tag in tags(writer, draft(), least=10, most=10, seed=seed).found:
            assert "\ufffd" not in tag
            tag.encode()


def test_a_sentence_is_no_tag():
    tales = {"snow. The light is dim": 3.0, "leaf.": 3.0, "A cat sits! It rains.": 3.0}
    names = ["dr. x", "k.k.", "no.1", "...", "!?", "hat"]
    for seed in range(10):
        guide = tags(Writer({**tales, **dict.fromkeys(names, 1.0)}), draft(), least=6, most=6, seed=seed)
        assert sorted(guide.found) == sorted(names)
        assert guide.refused.keys() <= {*names}


def test_a_tag_without_an_end_is_taken_back():
    endless = "x" * 60
    guide = tags(Writer({endless: 50.0, "lamp": 1.0, "hat": 1.0}), draft(), most=2)
    assert sorted(guide.found) == ["hat", "lamp"]


def test_what_is_settled_stays_and_what_is_shown_may_be_unfinished():
    writer, own = Writer(MANY), draft()
    guide = TagGuide(writer, own, have=0, least=8, most=8)
    settled = ""
    step, forbidden = guide.take, guide.forbidden

    def watched(token, chance):
        nonlocal settled
        back = step(token, chance)
        assert guide.settled.startswith(settled)
        assert guide.text.startswith(guide.settled)
        settled = guide.settled
        return back

    guide.take, guide.forbidden = watched, forbidden
    write(guide, writer)
    assert settled == ", ".join(guide.found)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    noise=st.sampled_from([0.0, 1e-3, 0.3]),
    least=st.integers(0, 12),
    more=st.integers(0, 6),
    banned=st.sets(st.sampled_from(MANY), max_size=20),
    temperature=st.sampled_from([0.0, 0.5, 1.5]),
)
def test_whatever_the_model_does_the_list_is_as_asked(seed, noise, least, more, banned, temperature):
    own = draft("a cup, b cup", ban="\n".join(banned))
    writer = Writer(MANY, ends={",": 3.0, "\n": 1.0, "": 1.0}, noise=noise)
    sampling = Sampling(temperature, top_k=80, top_p=0.95, min_p=0.02)
    guide = tags(writer, own, have=2, least=least + 2, most=least + more + 2, seed=seed, sampling=sampling)
    keys = [canonical(tag) for tag in guide.found]
    assert len({*keys}) == len(keys)
    assert not {*keys} & {"a cup", "b cup", *banned}
    assert guide.count <= least + more + 2
    assert guide.count >= least + 2 or guide.tries > TRIES


# Sentences


TALE = [
    "A girl stands in a field.",
    "The sky is blue.",
    "Mr. Fox is 3.5 m tall.",
    "Who is there?",
    "It rains!",
]
TALE += [
    f"There is a {thing} on the {place}." for thing in ("cup", "hat", "map") for place in ("table", "roof")
]


@pytest.mark.parametrize("length", LIMITS)
@pytest.mark.parametrize("have", [0, 1, 3])
@pytest.mark.parametrize("stop", [1e9, 0.0])
def test_there_are_at_least_and_at_most_so_many_sentences(length, have, stop):
    bounds = limits(length)
    many = [f"There is a {thing}." for thing in MANY]
    guide = prose(
        Teller(many, stop=stop, lines=0.3),
        draft(),
        have=have,
        least=bounds.min_sentences,
        most=bounds.max_sentences,
    )
    assert guide.count == have + len(guide.found)
    assert bounds.min_sentences <= guide.count <= max(bounds.max_sentences, have)
    assert set(guide.found) <= set(many)
    assert stop or guide.count == max(bounds.max_sentences, have)
    assert not stop or guide.count == max(bounds.min_sentences, have)


@pytest.mark.parametrize("seed", range(5))
def test_sentences_come_whole_and_once(seed):
    guide = prose(Teller(TALE), draft("It rains."), least=7, most=7, seed=seed)
    assert len(guide.found) == 7
    assert set(guide.found) <= set(TALE) - {"It rains!"}
    assert len({*guide.found}) == 7


@pytest.mark.parametrize("most", range(1, 90, 4))
def test_a_sentence_that_the_limit_of_tokens_cuts_is_never_returned(most):
    guide = prose(Teller(TALE), draft(), least=8, most=8, most_tokens=most)
    assert set(guide.found) <= set(TALE)


@pytest.mark.parametrize("ban", ["blue", "sky is", "/.*blue.*/", "the * is blue", "There is a cup\nblue"])
@pytest.mark.parametrize("seed", range(4))
def test_a_banned_phrase_is_in_no_sentence(ban, seed):
    own = draft(ban=ban)
    guide = prose(
        Teller({**dict.fromkeys(TALE, 1.0), "The sky is blue.": 50.0}), own, least=4, most=4, seed=seed
    )
    assert len(guide.found) == 4
    assert "The sky is blue." not in guide.found
    assert not any(own.rules.bans.match_sentence(sentence) for sentence in guide.found)


def test_a_banned_word_is_taken_back_where_it_stands_and_reported():
    items = {"The sky is blue and wide.": 50.0, "The sky is grey.": 1.0, "It rains.": 0.1}
    found = set()
    for seed in range(10):
        guide = prose(Teller(items), draft(ban="blue"), most=1, seed=seed)
        found.update(guide.found)
        assert all(reason == "banned by 'blue'" for reason in guide.refused.values())
        assert all(words == "The sky is blue" for words in guide.refused)
    assert "The sky is grey." in found
    assert found <= {"The sky is grey.", "It rains."}


def test_a_banned_word_at_the_very_end_is_found():
    guide = prose(Teller({"A cat": 2.0, "A dog": 1.0}, stop=1.0), draft(ban="cat"), most=1)
    assert guide.found == ["A dog"]


def test_a_word_that_only_begins_like_a_banned_one_may_stay():
    guide = prose(Teller(["A caf\xe9 and a cathedral."]), draft(ban="caf, cat"), most=1)
    assert guide.found == ["A caf\xe9 and a cathedral."]


def test_no_sentence_begins_with_what_goes_behind_a_word():
    items = {
        ", wearing a hat.": 9.0,
        "; a hat.": 9.0,
        ") and so on.": 9.0,
        "...": 9.0,
        "It rains.": 1.0,
        '"Hi," he says.': 1.0,
    }
    found = {s for seed in range(8) for s in prose(Teller(items), draft(), most=1, seed=seed).found}
    assert found == {"It rains.", '"Hi," he says.'}


def test_a_sentence_that_repeats_itself_is_taken_back():
    items = {"A tree and a tree and a tree and a tree and a hat.": 50.0, "A tree and a lamp.": 1.0}
    for seed in range(5):
        guide = prose(Teller(items), draft(), most=1, seed=seed)
        assert guide.found == ["A tree and a lamp."]


def test_a_sentence_that_no_spelling_makes_safe_is_taken_back():
    items = {"See http://x.y now.": 50.0, "Room #5 is empty.": 50.0, "A (small) hat.": 1.0}
    guide = prose(Teller(items), draft(), most=1)
    assert guide.found == ["A (small) hat."]
    assert UNSAFE in guide.refused.values()


def test_a_sentence_that_contradicts_the_prompt_is_taken_back():
    items = {"The girl has red hair.": 50.0, "The girl has blue hair.": 1.0, "A boy is there.": 50.0}
    guide = prose(Teller(items, words=WORDS), draft("1girl, blue hair"), most=1)
    assert guide.found == ["The girl has blue hair."]


def test_prose_ends_where_the_model_goes_on_to_another_field():
    for seed in range(10):
        guide = prose(
            Teller(TALE, stop=500.0, then="\ntag: 1girl, solo"), draft(), least=2, most=8, seed=seed
        )
        assert guide.done
        assert len(guide.found) >= 2
        assert set(guide.found) <= set(TALE)


def test_sentences_over_several_lines_come_on_one():
    guide = prose(Teller(TALE, lines=50.0), draft(), least=5, most=5)
    assert len(guide.found) == 5
    assert not any("\n" in sentence for sentence in guide.found)
    assert guide.settled == " ".join(guide.found)


def test_a_token_that_ends_one_sentence_and_begins_the_next_belongs_to_both():
    for seed in range(10):
        guide = prose(Teller(["It rains. The sky is blue. The end."]), draft(), most=3, seed=seed)
        assert guide.found == ["It rains.", "The sky is blue.", "The end."]
        banned = prose(Teller(["It rains. The sky is blue. The end."]), draft(ban="sky"), most=3, seed=seed)
        assert banned.found[:1] == ["It rains."]
        assert not any("sky" in sentence for sentence in banned.found)
