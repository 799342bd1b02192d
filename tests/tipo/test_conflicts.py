"""Conflicts: what contradicts what, what does not, and that the little world never contradicts itself."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from presample.models.tinyworld.scene import sample_many
from presample.models.tinyworld.tags import tags_of
from presample.models.tinyworld.text import long_caption, short_caption
from presample.models.tipo.conflicts import COLOUR_NAMES, NAMED, PARTS, PEOPLE, Conflicts, Picture

TABLE = [
    # the user's terms, additions that contradict them, additions that do not
    (
        "1girl",
        "2girls, 6+girls, multiple girls, no humans, 1boy, 2boys, male focus, crowd, solo focus",
        "solo",
    ),
    ("1boy", "1girl, multiple girls, 2boys, mature female", "solo, male focus, 1boy"),
    ("2girls", "1girl, solo, 3girls, 1boy, no humans", "multiple girls, yuri, duo, couple"),
    ("multiple girls", "1girl, solo, no humans, 1boy", "2girls, 6+girls, crowd"),
    ("1girl, 1boy", "solo, 2girls, multiple boys, no humans, 1other, crowd, trio", "hetero, couple, duo"),
    ("solo", "2girls, multiple boys, duo, couple, no humans", "1girl, 1boy, 1other, male focus"),
    ("solo, male focus", "1girl, 2boys", "1boy"),
    ("no humans", "1girl, solo, crowd, long hair, blue hair", "scenery, blue sky, cat"),
    ("crowd", "solo, no humans", "1girl, multiple girls, 2boys"),
    ("1girl, crowd", "solo, 2girls", "1boy, multiple boys"),
    ("1girl, 2girls", "3girls, 1boy", "multiple girls, duo, solo"),
    ("solo, multiple girls", "1girl, no humans", "2girls, 6+girls, couple"),
    ("multiple others", "1other, solo", "3others"),
    ("blue hair", "red hair, dark green hair, multicolored hair, gradient hair, no humans", "blue eyes"),
    (
        "blue hair",
        "blonde hair, silver hair",
        "light blue hair, dark blue hair, hair ornament, long hair, red bow",
    ),
    ("light blue hair", "dark blue hair, aqua hair", "blue hair"),
    ("blonde hair", "brown hair", "platinum blonde hair, yellow hair, golden hair"),
    ("grey hair", "white hair", "silver hair, gray hair, dark grey hair"),
    ("multicolored hair", "no humans", "red hair, blue hair, gradient hair"),
    ("two-tone hair, blue hair", "no humans", "pink hair, black hair"),
    ("blue hair, pink hair", "green hair", "multicolored hair, two-tone hair, blue hair, light pink hair"),
    ("green eyes", "red eyes, heterochromia, multicolored eyes, amber eyes", "dark green eyes, green hair"),
    ("heterochromia", "", "red eyes, blue eyes"),
    ("2girls, blue hair, red eyes", "", "red hair, blue eyes, short hair, multicolored hair"),
    ("1girl, white dress", "black dress, two-tone dress", "white shirt, long dress, black boots"),
    ("short hair", "long hair, very long hair, medium hair, bald", "very short hair, hair bow"),
    ("very long hair", "short hair", "long hair, absurdly long hair"),
    ("day", "night, night sky, sunset, moonlight, full moon", "blue sky, sunlight, morning, outdoors"),
    ("night", "day, sunlight, blue sky, sunset, morning", "starry sky, full moon, evening, dark blue sky"),
    ("sunset", "night, day, sunrise", "orange sky, twilight, evening, sunlight, starry sky"),
    ("blue sky", "red sky, night, midnight", "cloud, day"),
    ("winter", "summer, cherry blossoms, autumn leaves", "snow, snowing"),
    ("summer", "snow, winter, snowing", "sunflower, day"),
    ("clear sky", "overcast, rain, snowing, storm", "sunny, blue sky"),
    ("indoors", "outdoors, beach, simple background, white background", "bedroom, window, cityscape"),
    ("outdoors", "indoors, kitchen, grey background", "forest, scenery, sky"),
    ("white background", "outdoors, bedroom, red background, scenery", "simple background, white dress"),
    ("upper body", "full body, cowboy shot, wide shot", "portrait, close-up"),
    ("standing", "sitting, lying, walking", "smile"),
    ("open mouth", "closed mouth", "smile, :d"),
    ("from above", "from below", "from side"),
    ("monochrome", "colorful", "greyscale, blue hair"),
    ("safe", "nsfw, explicit, sensitive", "general"),
    ("masterpiece, highres", "low quality, worst quality, lowres", "best quality, absurdres"),
    ("hatsune miku, :d, ^_^, blue archive", "", "1girl, red hair, night, outdoors, solo, monochrome"),
    ("", "", "1girl, red hair, night, no humans"),
]
CASES = [
    (user, tag, bad)
    for user, wrong, right in TABLE
    for tags, bad in ((wrong, True), (right, False))
    for tag in tags.split(", ")
    if tag
]


@pytest.mark.parametrize(("user", "tag", "bad"), CASES)
def test_a_tag_contradicts_what_the_user_said_or_does_not(user, tag, bad):
    reason = Conflicts(filter(None, user.split(", "))).reason(tag)
    assert (reason is not None) == bad, reason


@pytest.mark.parametrize(
    ("user", "tag", "reason"),
    [
        (["1girl", "Blue_Hair"], "red hair", "contradicts your 'Blue_Hair'"),
        (["smile", "1girl", "solo"], "2girls", "contradicts your '1girl'"),
        (["1girl", "1boy"], "solo", "contradicts your '1girl' with your '1boy'"),
        (["blue sky", "day"], "midnight", "contradicts your 'blue sky'"),
        (["sunlight", "day"], "sunset", "contradicts your 'day'"),
    ],
)
def test_the_reason_names_the_users_own_words(user, tag, reason):
    assert Conflicts(user).reason(tag) == reason


def test_spelling_case_and_escapes_make_no_difference():
    conflicts = Conflicts([r"star \(sky\)", "LONG_HAIR"])
    assert conflicts.reason("Day")
    assert conflicts.reason("short_hair")
    assert conflicts.reason("long hair") is None


def test_additions_must_agree_with_each_other():
    conflicts = Conflicts(["1girl"])
    assert conflicts.reason("red hair") is None
    conflicts.add("red hair")
    conflicts.add("night")
    assert conflicts.reason("blue hair") == "contradicts the added 'red hair'"
    assert conflicts.reason("sunlight") == "contradicts the added 'night'"
    assert conflicts.reason("2girls") == "contradicts your '1girl'"
    conflicts.add("smile")
    assert conflicts.reason("smile") is None


def test_counts_that_are_added_are_settled_too():
    conflicts = Conflicts(["outdoors"])
    conflicts.add("1girl")
    conflicts.add("solo")
    assert conflicts.reason("1boy") == "contradicts the added '1girl' with the added 'solo'"
    assert conflicts.reason("no humans") == "contradicts the added '1girl'"


def test_an_added_mixture_of_colours_opens_the_question_again():
    conflicts = Conflicts(["1girl"])
    conflicts.add("multicolored hair")
    conflicts.add("red hair")
    assert conflicts.reason("blue hair") is None


@pytest.mark.parametrize(
    "user",
    [
        ["1girl", "2girls"],
        ["solo", "multiple girls"],
        ["no humans", "1girl", "solo"],
        ["day", "night"],
        ["blue hair", "red hair", "bald"],
        ["indoors", "outdoors", "white background"],
    ],
)
def test_the_users_own_contradictions_are_left_alone(user):
    conflicts = Conflicts(user)
    assert [conflicts.reason(term) for term in user] == [None] * len(user)


@given(
    st.lists(st.sampled_from(sorted(NAMED) + sorted(PEOPLE) + ["red hair", "blue hair", "light red eyes"]))
)
def test_no_term_of_the_user_is_ever_contradicted(user):
    conflicts = Conflicts(user)
    assert not [term for term in user if conflicts.reason(term)]


@given(
    st.lists(st.sampled_from(sorted(NAMED) + sorted(PEOPLE) + ["red hair", "blue hair", "light red eyes"]))
)
def test_a_tag_without_a_conflict_does_not_contradict_itself_once_added(tags):
    conflicts = Conflicts()
    for tag in tags:
        if conflicts.reason(tag) is None:
            conflicts.add(tag)
            assert conflicts.reason(tag) is None, tag


@given(st.text(max_size=20), st.text(max_size=40))
def test_any_text_is_bearable(term, prose):
    Conflicts([term], prose=prose).reason(term)


PROSE = [
    ("A girl with long blue hair stands in the forest at night.", "red hair, short hair, day, indoors"),
    ("a light blue sky over the sea on a winter morning", "red sky, night, summer, dark blue sky"),
    ("She wears a black and white dress, red lips", "green dress, blue lips"),
    ("a woman in a white silk dress", "red dress"),
    ("By now spring has come to the lake, and birds are back", "winter, autumn leaves"),
]


@pytest.mark.parametrize(("prose", "wrong"), PROSE)
def test_prose_of_the_user_is_read_for_colours_hours_and_places(prose, wrong):
    for conflicts in (Conflicts(prose=prose), Conflicts([prose])):
        assert all(conflicts.reason(tag) for tag in wrong.split(", "))


@pytest.mark.parametrize(
    ("prose", "right"),
    [
        ("A girl with a red hair ribbon and a blue hat", "blue hair, red hat bow, black eyes"),
        ("a black and white dress", "black dress, white dress"),
        ("Is it safe? The sun shines from above; a house is on one side.", "nsfw, from below, standing"),
        ("from day to night", "day, night"),
        ("a dark blue sky", "night"),
        ("a green forest background", "outdoors"),
        ("steam over the hot spring behind the house", "winter, autumn leaves"),
    ],
)
def test_prose_that_says_nothing_forbids_nothing(prose, right):
    assert not [tag for tag in right.split(", ") if Conflicts(prose=prose).reason(tag)]


@pytest.mark.parametrize(
    ("user", "sentence", "reason"),
    [
        (["1girl", "red hair"], "A girl with long black hair stands there.", "contradicts your 'red hair'"),
        (["1girl", "solo"], "The boy looks at us.", "contradicts your '1girl' with your 'solo'"),
        (["no humans"], "A woman walks by.", "contradicts your 'no humans'"),
        (["night"], "It is a clear summer day in", "contradicts your 'night'"),
    ],
)
def test_sentences_are_read_for_what_contradicts_the_tags(user, sentence, reason):
    assert Conflicts(user).prose_reason(sentence) == reason


@pytest.mark.parametrize(
    ("user", "sentence"),
    [
        (["1girl", "red hair"], "A girl with long red hair and a blue hat."),
        (["1girl", "1boy", "red hair"], "The boy has black hair."),
        (["scenery"], "A man and a woman walk by."),
        (["1girl"], "A snowman with a hat."),
        (["day", "night"], "From day to night."),
    ],
)
def test_sentences_that_agree_with_the_tags_may_stay(user, sentence):
    assert Conflicts(user).prose_reason(sentence) is None


@pytest.mark.parametrize(
    ("prose", "wrong", "right"),
    [
        ("A girl at a lake.", "2girls, 1boy, multiple girls, crowd", "1girl, solo"),
        ("a very young woman and an old man", "2girls, 2boys, solo, 3boys", "1girl, 1boy, hetero"),
        ("Two girls play. The girls laugh.", "1girl, 3girls, 1boy, solo", "2girls, multiple girls"),
        ("A girl waits. A girl with red hair comes.", "3girls, 1boy", "1girl, 2girls"),
        ("The girl is here.", "1boy, no humans", "1girl, 2girls, solo"),
        ("a group of men", "1boy, 1girl", "2boys, multiple boys"),
        ("A girl without a man, no boys", "1boy", "1girl"),
        ("A girl among people", "", "1girl, 2girls, 1boy, crowd"),
        ("a photo of girl", "1boy", "1girl, 2girls"),
        ("a lake at night", "", "1girl, 2boys, no humans"),
    ],
)
def test_people_are_counted_in_prose(prose, wrong, right):
    for conflicts in (Conflicts(prose=prose), Conflicts([f"{prose} in the warm light of evening"])):
        assert [tag for tag in wrong.split(", ") if tag and not conflicts.reason(tag)] == []
        assert [tag for tag in right.split(", ") if conflicts.reason(tag)] == []
    assert (Conflicts(prose="a girl").prose_reason("The boy sits.")) == "contradicts your 'girl'"


@pytest.mark.parametrize(
    ("user", "wrong", "right"),
    [
        ("2 girls, beach", "no humans, solo, 1girl, 3girls, 1boy", "2girls, multiple girls, duo"),
        ("1 girl, lake", "no humans, 2girls, 1boy, crowd", "solo, 1girl"),
        ("two girls at the beach, sunset", "no humans, solo, 1boy", "2girls"),
        ("two_girls kiss", "no humans, solo, 1boy", "2girls, yuri"),
        ("a girl, lake", "no humans, 2girls, 1boy", "solo, 1girl"),
        ("a girl, a boy", "no humans, solo, 2girls", "1girl, 1boy, hetero, duo"),
        ("one girl, one girl sitting", "no humans, 1boy, 3girls", "1girl, 2girls, solo"),
        ("1girl and 1boy, park", "no humans, solo, 2girls, crowd", "1girl, 1boy, hetero"),
        ("6+girls dancing", "no humans, solo, 1girl", "6+girls, multiple girls"),
        ("man, lake", "no humans, 1girl", "solo, 1boy, 2boys"),
        ("cute girls", "no humans, solo, 1boy", "2girls, 6+girls"),
        ("woman in red, street", "no humans, 1boy", "1girl, solo"),
        ("lady dressed in silk", "no humans, 1boy", "1girl"),
        ("girl without a hat", "no humans, 1boy", "1girl"),
        ("2girls, a girl with red hair", "no humans, solo, 1girl, 1boy", "2girls, duo"),
        ("1girl, two girls", "no humans, 3girls, 1boy", "1girl, 2girls"),
        ("girl on top", "", "1girl, 1boy, no humans"),
        ("man made lake, boy's love, woman's hat", "", "1girl, 1boy, solo, 2girls, no humans"),
        ("girls’ room, girl power, lady luck", "", "1girl, 1boy, solo, 2girls, no humans"),
        ("no men, 1girls", "", "1girl, 2girls, solo"),
        ("blue hair, girl and a red hat", "1boy", "red hat"),  # its colours are not read
    ],
)
def test_people_are_counted_in_a_tag_that_says_who_is_there(user, wrong, right):
    conflicts = Conflicts(user.split(", "))
    assert [tag for tag in wrong.split(", ") if tag and not conflicts.reason(tag)] == []
    assert [tag for tag in right.split(", ") if conflicts.reason(tag)] == []


def test_a_name_counts_nobody():
    for name in ("one_punch man", "the girl who leapt through time", "girl on the moon"):
        assert Conflicts([name], names=[name]).reason("no humans") is None
        assert Conflicts([name]).reason("no humans")


@pytest.mark.parametrize(
    ("parts", "part", "wrong", "right"),
    [
        ("1girl, kimono | lake", 1, "no humans, 2girls, 1boy", "1girl, solo, red kimono"),
        ("1girl, red hair | lake", 1, "no humans", "red hair, blue hair, short hair, standing"),
        ("1girl | 1boy", 0, "solo, no humans, 2girls, 1boy", "1girl"),
        ("1girl | 1boy", 1, "solo, no humans, 2boys", "1boy, male focus"),
        ("lake | 1girl | 1boy", 0, "solo, no humans, crowd", "1girl, 1boy, hetero, duo"),
        ("2girls | 1girl, red hair | 1girl, blue hair", 0, "solo, 1girl, 1boy", "2girls, duo"),
        ("2girls | 1girl, red hair | 1girl, blue hair", 1, "solo, 2girls, blue hair, 1boy", "1girl"),
        ("two girls | a girl with red hair | lake", 2, "solo, no humans, 1boy", "2girls, red hair"),
        ("night | lake", 1, "day, sunlight, blue sky", "starry sky, moon"),
        ("orange sky | lake", 1, "blue sky", "dusk"),
        ("lake | It is a winter night.", 0, "day, summer", "night, winter"),
        ("day | night | lake", 0, "night", "day, blue sky"),
        ("day | night | lake", 1, "day, blue sky", "night"),
        ("day | night | lake", 2, "", "day, night, blue sky, moon"),
        ("no humans | 1girl | lake", 2, "", "no humans, 1girl"),
        ("1girl, standing | 1girl, sitting", 0, "sitting", "standing"),
    ],
)
def test_parts_of_one_picture_share_its_people_and_its_scene(parts, part, wrong, right):
    said = [text.split(", ") for text in parts.split(" | ")]
    every = [Conflicts(terms, prose="".join(t for t in terms if t.endswith("."))) for terms in said]
    Picture(every)
    assert [tag for tag in wrong.split(", ") if tag and not every[part].reason(tag)] == []
    assert [tag for tag in right.split(", ") if every[part].reason(tag)] == []


@given(st.lists(st.lists(st.sampled_from(sorted(NAMED) + sorted(PEOPLE) + ["red hair", "two girls"]))))
def test_no_part_is_contradicted_by_another(user):
    parts = [Conflicts(terms) for terms in user]
    Picture(parts)
    assert not [t for part, terms in zip(parts, user, strict=True) for t in terms if part.reason(t)]


def test_what_is_added_to_a_part_holds_in_the_next_but_for_what_it_says_of_a_person():
    first, second = every = [Conflicts(["1girl"]), Conflicts(["lake"])]
    Picture(every)
    for tag in ("solo", "summer", "long hair"):
        first.add(tag)
    first.add_prose("It is a clear day in the forest and she wears a red dress.")
    assert second.reason("winter") == "contradicts the added 'summer'"
    assert second.prose_reason("It is night.") == "contradicts the added 'day'"
    assert second.prose_reason("A boy stands there.").startswith("contradicts your '1girl' with ")
    assert [second.reason(tag) for tag in ("short hair", "blue dress")] == [None, None]


def test_what_an_added_sentence_says_holds_for_the_tags_after_it():
    conflicts = Conflicts(["1girl"])
    conflicts.add_prose("A girl with long black hair stands in the forest.")
    assert conflicts.reason("red hair") == "contradicts the added 'black hair'"
    assert conflicts.reason("short hair") == "contradicts the added 'long hair'"
    assert conflicts.prose_reason("Her red hair is wet.") == "contradicts the added 'black hair'"


def _scenes(count):
    for scene in sample_many(torch.Generator().manual_seed(7), count):
        yield scene, [tag for tags in tags_of(scene).values() for tag in tags]


def test_what_is_true_of_one_scene_of_the_little_world_never_conflicts():
    for _, tags in _scenes(300):
        conflicts = Conflicts(tags[: len(tags) // 3])
        for tag in tags:
            assert conflicts.reason(tag) is None
            conflicts.add(tag)


def test_a_true_caption_never_conflicts_with_the_tags_of_its_scene():
    generator = torch.Generator().manual_seed(3)
    for scene, tags in _scenes(200):
        conflicts = Conflicts(prose=f"{short_caption(scene, generator)} {long_caption(scene, generator)}")
        assert not [(tag, conflicts.reason(tag)) for tag in tags if conflicts.reason(tag)]


def test_a_true_caption_may_be_added_to_the_tags_of_its_scene():
    generator = torch.Generator().manual_seed(4)
    for scene, tags in _scenes(200):
        caption = f"{short_caption(scene, generator)} {long_caption(scene, generator)}"
        assert Conflicts(tags).prose_reason(caption) is None


def test_tags_of_another_hour_season_or_hair_are_found_in_every_scene():
    for scene, tags in _scenes(100):
        conflicts = Conflicts(tags)
        wrong = ["day" if scene.time == "night" else "night"]
        wrong += ["short hair" if scene.hair_length == "long" else "long hair"]
        wrong += ["red hair" if scene.hair == "blue" else "blue hair"]
        wrong += ["summer" if scene.season == "winter" else "winter"]
        assert all(conflicts.reason(tag) for tag in wrong)


def test_the_tables_hold_canonical_tags_and_no_empty_colour():
    assert all(tag == " ".join(tag.lower().split()) and tag for tag in [*NAMED, *PEOPLE, *COLOUR_NAMES])
    assert not set(COLOUR_NAMES) & PARTS
