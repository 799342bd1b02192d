"""What is new in an answer: tags and sentences, without a word of the user's and without broken ends."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from presample.models.prompt.document import canonical
from presample.models.tipo.lengths import limits
from presample.models.tipo.post import (
    Prose,
    added_prose,
    added_tags,
    count_sentences,
    drop_unfinished,
    join_sentences,
    remove_repeated_suffix,
)


def many(count: int) -> tuple[str, ...]:
    return tuple(f"tag number {i}" for i in range(count))


# Tags


def test_new_tags_come_in_the_order_they_were_drawn_each_once():
    found = {"general": ("smile", "long hair", "Smile", "hat", "long_hair"), "special": ("1girl",)}
    assert added_tags(found, known=[]) == {"special": ("1girl",), "general": ("smile", "long hair", "hat")}


@pytest.mark.parametrize("known", ["long hair", "Long_Hair", "LONG HAIR ", "long  hair"])
def test_what_is_known_in_any_spelling_is_not_new(known):
    assert added_tags({"general": ("long hair", "hat")}, known=[known]) == {"general": ("hat",)}
    assert added_tags({"characters": ("saber (fate)",)}, known=[r"Saber_\(fate\)"]) == {}


def test_a_tag_known_under_one_category_is_not_new_under_another():
    assert added_tags({"characters": ("rin",), "general": ("rin", "hat")}, known=[]) == {
        "characters": ("rin",),
        "general": ("hat",),
    }


@pytest.mark.parametrize(("have", "left"), [(0, 48), (5, 43), (12, 36), (48, 0), (60, 0)])
def test_tags_are_clipped_to_the_maximum_of_tags(have, left):
    new = added_tags({"general": many(80)}, known=[], have=have, max_tags=limits("long").max_tags)
    assert len(new.get("general", ())) == left


def test_counts_of_people_are_kept_before_general_tags_and_names_are_never_clipped():
    found = {"general": many(5), "special": ("1girl", "1boy"), "artist": ("wlop",)}
    assert added_tags(found, known=[], max_tags=3) == {
        "special": ("1girl", "1boy"),
        "artist": ("wlop",),
        "general": many(1),
    }
    assert added_tags(found, known=[], max_tags=0) == {"artist": ("wlop",)}


def test_refused_tags_are_left_out_and_make_room():
    new = added_tags({"general": many(5)}, known=[], max_tags=3, refuse=lambda tag: tag.endswith(("0", "2")))
    assert new["general"] == ("tag number 1", "tag number 3", "tag number 4")


def test_shuffling_is_decided_by_the_generator_alone():
    found = {"general": many(30), "special": ("1girl", "1boy")}
    state = torch.get_rng_state(), random.getstate()

    def shuffled(seed):
        return added_tags(found, known=[], max_tags=12, order=torch.Generator().manual_seed(seed))

    assert shuffled(1) == shuffled(1)
    assert shuffled(1) != shuffled(2)
    assert shuffled(1)["special"] == ("1girl", "1boy")
    assert set(shuffled(1)["general"]) <= set(many(30))
    assert not set(shuffled(1)["general"]) <= set(many(10))  # shuffled before it was clipped
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == random.getstate()


TAG = st.text(alphabet="ab_ A1", min_size=1, max_size=5)


@given(st.lists(TAG, max_size=12), st.lists(TAG, max_size=6), st.integers(0, 10))
def test_what_is_added_is_new_unique_and_in_order(found, known, most):
    new = added_tags({"general": found}, known=known, have=len(known), max_tags=most).get("general", ())
    keys = [canonical(tag) for tag in new]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & {canonical(tag) for tag in known}
    assert not new or len(new) + len(known) <= most
    places = iter(found)
    assert all(tag in places for tag in new)


# Prose

USER = "A girl stands in a field. She wears a hat."


def test_the_text_that_follows_the_users_is_new():
    new = added_prose(USER + " The sky is blue. Birds sing!", user=USER)
    assert new == Prose("", ("The sky is blue.", "Birds sing!"))


@pytest.mark.parametrize(
    ("user", "text", "new"),
    [
        ("A girl stands", "A girl stands in a field. It rains.", Prose(" in a field.", ("It rains.",))),
        ("A girl stands", "A girl stands. It rains.", Prose(".", ("It rains.",))),
        ("A cat", "A cathedral stands.", Prose("", ("A cathedral stands.",))),
        ("A girl. A hat", "A girl. A hat, a coat.", Prose(", a coat.", ())),
        ("A girl. A hat", "A hat, a coat. A girl.", Prose(", a coat.", ())),
        ("It rains.", "The sun shines. it  RAINS!", Prose("", ("The sun shines.",))),
        ("A girl stands.", "A girl stands.", Prose()),
        ("A girl stands.", "", Prose()),
        ("", "A girl. A girl. A hat.", Prose("", ("A girl.", "A hat."))),
        ("", "", Prose()),
        ("A girl", "A girl\nin a field. It\n rains.", Prose(" in a field.", ("It rains.",))),
    ],
)
def test_the_users_last_sentence_may_be_completed_and_none_is_repeated(user, text, new):
    assert added_prose(text, user=user) == new


def test_decimals_initials_and_titles_end_no_sentence():
    text = "A 3.5 meter statue by Mr. Smith stands near J. R. Tolkien. It rains, e.g. hard."
    assert added_prose(text).sentences == (
        "A 3.5 meter statue by Mr. Smith stands near J. R. Tolkien.",
        "It rains, e.g. hard.",
    )


@pytest.mark.parametrize(("most", "left"), [(1, 0), (2, 0), (3, 1), (4, 2), (None, 3)])
def test_sentences_are_clipped_with_the_users_counted(most, left):
    new = added_prose(USER + " One. Two. Three.", user=USER, max_sentences=most)
    assert new.sentences == ("One.", "Two.", "Three.")[:left]


def test_sentences_with_banned_words_are_dropped_and_the_users_never():
    text = "A girl with an umbrella in the rain. She has an umbrella. It rains."
    new = added_prose(text, user="A girl with an umbrella", refuse=lambda s: "umbrella" in s)
    assert new == Prose(" in the rain.", ("It rains.",))
    assert added_prose("A girl and rain. Sun.", user="A girl", refuse=lambda s: "rain" in s) == Prose(
        "", ("Sun.",)
    )


SENTENCE = st.sampled_from(["A girl stands.", "It rains!", "Mr. Fox is 3.5 m tall.", "Why?", "The end…"])


@given(
    st.lists(SENTENCE, max_size=4), st.lists(SENTENCE, max_size=6), st.one_of(st.none(), st.integers(0, 8))
)
def test_nothing_of_the_users_comes_back(own, others, most):
    user = " ".join(own)
    new = added_prose(" ".join([*own, *others]), user=user, max_sentences=most)
    assert not set(new.sentences) & set(own)
    assert len(set(new.sentences)) == len(new.sentences)
    if most is not None:
        assert len(new.sentences) <= max(0, most - count_sentences(user))


def test_joined_sentences_each_have_a_stop():
    assert (
        join_sentences(["A girl", "It rains!", 'He says "no."', "Why?", "…"])
        == 'A girl. It rains! He says "no." Why? …'
    )
    assert join_sentences([]) == ""


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("  ", 0), ("A girl", 1), ("A girl.", 1), ("A girl. A 3.5 m hat.", 2)]
)
def test_no_text_has_no_sentences(text, count):
    assert count_sentences(text) == count


# Broken ends


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("tag: 1girl, solo, smile, long ha", "tag: 1girl, solo, smile"),
        ("tag: 1girl, solo, smi", "tag: 1girl, solo"),
        ("tag: 1girl, solo, smile,", "tag: 1girl, solo, smile"),
        ("tag: 1girl, solo", "tag: 1girl, solo"),
        ("tag: 1girl, solo background", "tag: 1girl, solo"),
        ("tag: 1girl, solo, smile\nlong: A girl. She is", "tag: 1girl, solo, smile\nlong: A girl."),
        ("tag: 1girl, solo, smile\nlong: A girl. She is.", "tag: 1girl, solo, smile\nlong: A girl. She is."),
        ("tag: 1girl, solo, smile\nlong: A gi", "tag: 1girl, solo, smile\nlong:"),
        ("tag: 1girl, solo, smile\nlong:", "tag: 1girl, solo, smile\nlong:"),
        ("tag: 1girl, solo, smile\nartist: wlop, as", "tag: 1girl, solo, smile\nartist: wlop"),
        ('tag: 1girl, solo, smile\nlong: He said "no." She', 'tag: 1girl, solo, smile\nlong: He said "no."'),
    ],
)
def test_the_tag_or_sentence_broken_off_is_dropped_and_nothing_of_the_request(text, left):
    given = "target: <|long|>\ntag: 1girl, solo"
    assert drop_unfinished("target: <|long|>\n" + text, given=given) == "target: <|long|>\n" + left


def test_the_users_own_unfinished_sentence_stays():
    given = "target: <|long|> <|tag_to_long|>\ntag: 1girl\nlong: A girl stands"
    assert drop_unfinished(given + " in a fie", given=given) == given
    assert drop_unfinished(given + " here. And th", given=given) == given + " here."


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("", ""),
        ("a tree", "a tree"),
        ("An inn... All is well", "An inn... All is well"),
        ("She smiles. She smiles. She smiles.", "She smiles."),
        (" flowers and flowers and flowers and", " flowers and"),
        ("a very very very very", "a very"),
        ("red red blue", "red red blue"),
        ("one two one two one two one two one two one two", "one two"),
        ("one two three\ntwo three", "one two three"),
        ("abab", "abab"),
    ],
)
def test_words_repeated_at_the_end_are_said_once(text, left):
    assert remove_repeated_suffix(text) == left


@given(st.lists(st.sampled_from("ab"), max_size=14))
def test_no_repetition_is_left_and_only_the_end_is_cut(words):
    left = remove_repeated_suffix(" ".join(words)).split()
    assert words[: len(left)] == left
    assert not any(left[-2 * n : -n] == left[-n:] for n in range(1, len(left) // 2 + 1))
