"""Categories of tags: the fixed words, the shipped names, the user's lists and the build command."""

import argparse
import os
import random
import sys
import zlib
from pathlib import Path

import pytest

from presample.models.prompt import template
from presample.models.tipo import build_tags, tag_lists, tags
from presample.models.tipo.tag_words import CATEGORIES
from presample.models.tipo.tags import Names, load_tags, pack, spell

CSV = Path(__file__).parents[3] / "shared" / "data" / "danbooru_names.csv"

TABLE = load_tags()

FAMILIES = {
    "tipo": "masterpiece, best quality, very aesthetic, displeasing, newest, old, score_9, source_anime",
    "pony": "score_9, score_8_up, score_7_up, score_6_up, score_4_up, source_pony, score_9_up, score_8",
    "illustrious": "masterpiece, best quality, good quality, average quality, bad quality, worst quality",
    "noobai": "masterpiece, best quality, newest, very awa, worst quality, old, early",
    "wai": "amazing quality, best quality, very aesthetic",
    "animagine": "high score, great score, good score, low score, bad score, average score, oldest",
    "novelai": "amazing quality, very aesthetic, best aesthetic",
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("change", [str, str.title, str.upper, lambda word: word.replace(" ", "_")])
def test_quality_words_of_every_family_are_quality_in_any_spelling(family, change):
    for word in FAMILIES[family].split(", "):
        assert TABLE.lookup(change(word)) == "quality", word


@pytest.mark.parametrize(
    "word",
    [
        *("safe", "general", "sfw", "sensitive", "nsfw", "explicit", "questionable", "NSFW"),
        *("rating:general", "rating: explicit", "rating_safe", "Rating:Questionable", "rating:s", "rating:e"),
    ],
)
def test_ratings_are_ratings(word):
    assert TABLE.lookup(word) == "rating"


@pytest.mark.parametrize(
    "word", ["1girl", "2Girls", "6+girls", "multiple_others", "male focus", "Multiple Boys"]
)
def test_counts_of_people_are_special(word):
    assert TABLE.lookup(word) == "special"
    assert tags.is_special(word)


@pytest.mark.parametrize(
    ("term", "category"),
    [
        ("hatsune miku", "characters"),
        ("Hatsune_Miku", "characters"),
        (" hatsune  miku ", "characters"),
        (r"saber \(fate\)", "characters"),
        ("saber_(fate)", "characters"),
        ("vocaloid", "copyrights"),
        ("original", "copyrights"),
        ("fate/grand_order", "copyrights"),
        ("wlop", "artist"),
        ("highres", "meta"),
        ("absurdres", "meta"),
        ("very high resolution", "meta"),
        ("original_character", "copyrights"),
    ],
)
def test_names_are_found_in_any_spelling_and_by_alias(term, category):
    assert TABLE.lookup(term) == category


@pytest.mark.parametrize(
    "term", ["smile", "long_hair", "^_^", "o_o", "scenery", "", "x" * 5000, "\ud800", "a\tb", "a\nb"]
)
def test_whatever_is_not_listed_is_general(term):
    assert TABLE.lookup(term) == "general"


@pytest.mark.parametrize(
    "word", ["air", "love", "rider", "game", "song", "headwear", "watercolor", "buzz", "summer"]
)
def test_ordinary_words_are_not_taken_for_aliases(word):
    assert TABLE.lookup(word) == "general"


def test_layouts_have_a_place_for_every_category():
    assert set(template.CATEGORIES) == set(CATEGORIES)


def test_terms_keep_their_order_and_spelling():
    terms = [
        "Long_Hair",
        "1Girl",
        "Smile",
        "hatsune_miku",
        "Masterpiece",
        "general",
        "kagamine rin",
        "2girls",
    ]
    assert TABLE.classify(terms) == {
        "special": ("1Girl", "2girls"),
        "quality": ("Masterpiece",),
        "rating": ("general",),
        "characters": ("hatsune_miku", "kagamine rin"),
        "general": ("Long_Hair", "Smile"),
    }
    assert tuple(TABLE.classify(["smile", "highres", "1girl"])) == ("special", "meta", "general")
    assert TABLE.classify([]) == {}


@pytest.mark.parametrize(
    ("term", "shown"),
    [
        ("Score_9", ("score_9",)),
        ("Best_Quality", ("best quality",)),
        ("very awa", ()),
        ("score_9_up", ()),
        ("rating:general", ("general",)),
        ("Questionable", ("nsfw",)),
        ("rating:e", ("explicit",)),
        ("1Girl", ("1girl",)),
        ("Long_Hair", ("long hair",)),
        ("^_^", ("^_^",)),
        (r"saber_\(fate\)", ("saber (fate)",)),
    ],
)
def test_the_model_is_shown_words_as_its_training_spelt_them(term, shown):
    assert spell(term, TABLE.lookup(term)) == shown


# The table


def test_every_name_of_a_table_is_found_and_no_other():
    rng = random.Random(0)
    letters = "ab é東\U0001f338:(_"
    names = {"".join(rng.choices(letters, k=rng.randint(1, 6))): rng.choice(CATEGORIES) for _ in range(2000)}
    table = Names(pack(names))
    assert all(table.find(name) == category for name, category in names.items())
    others = {"".join(rng.choices(letters, k=rng.randint(1, 6))) for _ in range(2000)} - set(names)
    assert others
    assert not any(table.find(other) for other in others)
    assert Names(b"").find("a") is None


def test_the_shipped_table_is_sorted_and_unique():
    lines = zlib.decompress(tags.TABLE.read_bytes(), wbits=31).splitlines()
    names = [line.partition(b"\t")[0] for line in lines]
    assert names == sorted(set(names))
    assert len(names) > 120_000


@pytest.mark.skipif(
    not CSV.is_file(), reason="the list the table is made from is not at ../shared/data/danbooru_names.csv"
)
def test_the_command_makes_the_shipped_table_again(tmp_path):
    parser = argparse.ArgumentParser()
    build_tags.add_parser(parser.add_subparsers())
    out = tmp_path / "tags.txt.gz"
    args = parser.parse_args(["tags", str(CSV), "--out", str(out)])
    assert args.run(args) == 0
    assert zlib.decompress(out.read_bytes(), wbits=31) == zlib.decompress(tags.TABLE.read_bytes(), wbits=31)


def test_the_table_is_read_when_a_name_is_looked_up_and_not_before():
    code = (
        "import sys; from presample.models.tipo import tags; before = tags._shipped.cache_info().currsize;"
        "t = tags.load_tags(); t.lookup('1girl'); first = tags._shipped.cache_info().currsize;"
        "t.lookup('wlop'); print(before, first, tags._shipped.cache_info().currsize, 'torch' in sys.modules)"
    )
    printed = os.popen(f'"{sys.executable}" -c "{code}"').read().split()
    assert printed == ["0", "0", "1", "False"]


def test_a_table_whose_names_cannot_be_found_again_is_not_written():
    with pytest.raises(ValueError, match=r"1 are not, among them \['two\\nlines'\]"):
        build_tags.build({"one": "artist", "two\nlines": "artist"})


# The user's lists


def test_the_users_lists_win_over_everything(tmp_path):
    (tmp_path / "artist.txt").write_text("My_Artist\nsmile\n\n", encoding="utf-8-sig")
    (tmp_path / "general.txt").write_text("wlop\ngeneral\n", encoding="utf-8")
    (tmp_path / "notes.md").write_text("no list", encoding="utf-8")
    table = load_tags([tmp_path])
    assert table.lookup("my artist") == table.lookup("Smile") == "artist"
    assert table.lookup("wlop") == table.lookup("general") == "general"
    assert table.lookup("hatsune miku") == "characters"
    assert load_tags().lookup("smile") == "general"


def test_the_first_category_in_precedence_gets_a_name_of_two_lists(tmp_path):
    for name in ("artist", "characters", "general"):
        (tmp_path / f"{name}.txt").write_text("rin", encoding="utf-8")
    assert load_tags([tmp_path]).lookup("rin") == "characters"


@pytest.mark.parametrize("header", ["name,category,count,aliases\n", ""])
def test_a_danbooru_csv_is_a_list_with_words_or_numbers_for_categories(tmp_path, header):
    path = tmp_path / "mine.csv"
    path.write_text(
        header + 'my_hero,4,12,"hero_of_mine,/h"\nmy_series,copyright,3,\nsmile,0,9,\n', encoding="utf-8"
    )
    table = load_tags([path])
    assert [table.lookup(t) for t in ("my hero", "hero of mine", "My_Series")] == [
        "characters",
        "characters",
        "copyrights",
    ]
    assert table.lookup("/h") == "general"


def test_a_name_wins_over_an_alias_in_the_table_that_is_built(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text(
        'a_b,copyright,9,"c_d,e_f,word,/x"\nc_d,character,1,\ng,general,1,h_i\n', encoding="utf-8"
    )
    assert tag_lists.read_danbooru(path) == {"a_b": "copyrights", "c_d": "characters", "e_f": "copyrights"}


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("favourites.txt", "a", ValueError, r"named after its category .* got favourites.txt"),
        ("x.csv", "a,b,c", ValueError, r"x.csv, line 1: the second column .* got \['b'\]"),
        ("x.csv", "just text", ValueError, r"x.csv, line 1: .* got \[\]"),
        (None, None, FileNotFoundError, "there is none at"),
    ],
)
def test_a_list_that_cannot_be_read_says_why(tmp_path, name, content, error, message):
    path = tmp_path / (name or "missing.txt")
    if name:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(error, match=message):
        load_tags([path])
