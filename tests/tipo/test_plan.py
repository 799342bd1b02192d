"""Which passes a request needs: the whole table, ours and KGen's, and the numbers of the length targets."""

import itertools

import pytest

from presample.models.tipo import lengths, options, wire
from presample.models.tipo.lengths import bucket, limits
from presample.models.tipo.plan import TRAINED, Inputs, plan

V2 = tuple(task for task in TRAINED if task != "short_to_long")


def inputs(text: str, **others) -> Inputs:
    """`TN tn c`: tags given, prose given, expand tags, expand prose, a caption too."""
    given, _, wanted = text.partition("+")
    return Inputs(
        has_tags="T" in given,
        has_prose="N" in given,
        expand_tags="t" in wanted,
        expand_prose="n" in wanted,
        caption="c" in wanted,
        tag_length="short",
        prose_length="very_long",
        **others,
    )


def told(passes) -> str:
    """A plan in the notation of the table: task, c(ontinue) or f(resh), t(ag) or n(prose) length."""
    names = {"short": "t", "very_long": "n"}
    return "; ".join(f"{p.task or 'none'} {'f' if p.fresh else 'c'} {names[p.length]}" for p in passes)


TABLE = [
    ("+", "", "none c t"),
    ("+t", "none c t", "none c t"),
    ("+c", "tag_to_long c n", "none c t; tag_to_long c n"),
    ("+tc", "none c t; tag_to_long c n", "none c t; tag_to_long c n"),
    ("T+", "", ""),
    ("T+t", "none c t", "none c t"),
    ("T+c", "tag_to_long f n", "tag_to_long f n"),
    ("T+tc", "none c t; tag_to_long f n", "none c t; tag_to_long f n"),
    ("N+", "", "long_to_tag f t"),
    ("N+t", "long_to_tag f t", "long_to_tag f t"),
    ("N+n", "long_to_tag c n", "long_to_tag c t"),
    ("N+tn", "long_to_tag c t", "long_to_tag c t"),
    ("N+c", "short_to_long f n", "long_to_tag f t; short_to_tag_to_long f n"),
    ("N+tc", "long_to_tag f t; short_to_tag_to_long f n", "long_to_tag f t; short_to_tag_to_long f n"),
    ("N+nc", "long_to_tag c n; short_to_long f n", "long_to_tag c t; short_to_tag_to_long f n"),
    ("N+tnc", "long_to_tag c t; short_to_tag_to_long f n", "long_to_tag c t; short_to_tag_to_long f n"),
    ("TN+", "", ""),
    ("TN+c", "short_to_tag_to_long f n", "short_to_tag_to_long f n"),
    ("TN+t", "short_to_tag c t", "short_to_tag c t; short_to_tag_to_long f n"),
    (
        "TN+tc",
        "short_to_tag c t; short_to_tag_to_long f n",
        "short_to_tag c t; short_to_tag_to_long f n; short_to_tag_to_long f n",
    ),
    ("TN+n", "tag_to_long c n", "tag_to_long c t; tag_to_short_to_long f n"),
    (
        "TN+nc",
        "tag_to_long c n; tag_to_short_to_long f n",
        "tag_to_long c t; tag_to_short_to_long f n; tag_to_short_to_long f n",
    ),
    ("TN+tn", "short_to_tag c t; tag_to_long c n", "short_to_tag c t; tag_to_long c n"),
    (
        "TN+tnc",
        "short_to_tag c t; tag_to_long c n; short_to_tag_to_long f n",
        "short_to_tag c t; tag_to_long c n; short_to_tag_to_long f n",
    ),
]
PROSE_FIRST = [
    ("TN+tn", "tag_to_long c n; long_to_tag c t"),
    ("TN+tnc", "tag_to_long c n; long_to_tag c t; tag_to_short_to_long f n"),
]
EVERY = [
    Inputs(*flags, tag_length="short", prose_length="very_long", tags_first=first)
    for *flags, first in itertools.product([False, True], repeat=6)
]


@pytest.mark.parametrize(("case", "ours", "kgen"), TABLE, ids=[row[0] for row in TABLE])
def test_the_table_of_passes(case, ours, kgen):
    assert told(plan(inputs(case))) == ours
    assert told(plan(inputs(case), compat="kgen-0.3.1")) == kgen


@pytest.mark.parametrize(("case", "passes"), PROSE_FIRST)
def test_prose_may_come_first_where_both_are_expanded(case, passes):
    assert told(plan(inputs(case, tags_first=False))) == passes
    assert told(plan(inputs(case, tags_first=False), compat="kgen-0.3.1")) == passes


def test_the_table_has_every_case_but_prose_for_which_there_is_none():
    cases = {(i.has_tags, i.has_prose, i.expand_tags, i.expand_prose, i.caption) for i in EVERY}
    named = {inputs(case) for case, *_ in TABLE}
    named = {(i.has_tags, i.has_prose, i.expand_tags, i.expand_prose, i.caption) for i in named}
    assert all(not has_prose and expand_prose for _, has_prose, _, expand_prose, _ in cases - named)
    for case in ("+", "+t", "+tc", "T+", "T+t", "T+c"):  # without prose to expand, nothing of it is expanded
        assert told(plan(inputs(case + "n"))) == told(plan(inputs(case)))


@pytest.mark.parametrize("case", EVERY)
def test_nothing_unasked_is_written_and_no_pass_twice(case):
    passes = plan(case)
    assert len(set(passes)) == len(passes)
    for p in passes:
        wanted = case.expand_tags if p.writes == "tags" else case.expand_prose or case.caption
        assert wanted
        assert p.length == (case.tag_length if p.writes == "tags" else case.prose_length)


@pytest.mark.parametrize("compat", ["none", "kgen-0.3.1"])
@pytest.mark.parametrize("case", EVERY)
def test_every_pass_can_be_written_and_has_exactly_the_fields_it_names(case, compat):
    tags, prose = case.has_tags, case.has_prose
    for p in plan(case, compat=compat):
        said = {p.prose_field: "A cat." if prose else ""}
        fields = wire.Fields({"general": ("smile",)} if tags else {}, **said)
        text = wire.render(fields, task=p.task, length=p.length, fresh=p.fresh, start=p.start)
        lines = text.partition("target: ")[2].split("\n")[1:]
        assert [line.partition(":")[0] for line in lines] == [*p.given, *([p.start] if p.fresh else [])]
        assert p.field in wire.TASKS[p.task].fields
        tags, prose = tags or p.writes == "tags", prose or p.writes == "prose"


def test_the_user_gets_the_field_that_was_written():
    fields = {(p.task, p.fresh, p.writes): p.field for case in EVERY for p in plan(case)}
    assert fields == {
        (None, False, "tags"): "tag",
        ("long_to_tag", True, "tags"): "tag",
        ("long_to_tag", False, "tags"): "tag",
        ("long_to_tag", False, "prose"): "long",
        ("short_to_tag", False, "tags"): "tag",
        ("tag_to_long", False, "prose"): "long",
        ("tag_to_long", True, "prose"): "long",
        ("short_to_long", True, "prose"): "long",
        ("short_to_tag_to_long", True, "prose"): "long",
        ("tag_to_short_to_long", True, "prose"): "long",
    }
    (tags,) = plan(inputs("N+tn"))
    (prose,) = plan(inputs("N+n"))
    assert (tags.field, tags.also) == ("tag", "prose")
    assert (prose.field, prose.also) == ("long", "")


def test_a_model_without_short_to_long_writes_tags_on_the_way():
    (v1,) = plan(inputs("N+c"))
    (v2,) = plan(inputs("N+c"), tasks=V2)
    assert (v1.task, v1.start, v1.given) == ("short_to_long", "long", ("short",))
    assert (v2.task, v2.start, v2.given, v2.field) == ("short_to_tag_to_long", "tag", ("short",), "long")
    assert all(p.task != "short_to_long" for case in EVERY for p in plan(case, tasks=V2))
    assert all(p.task in (None, *V2) for case in EVERY for p in plan(case, compat="kgen-0.3.1"))


def test_a_model_that_cannot_do_it_is_named():
    with pytest.raises(ValueError, match="short_to_tag or a relative of it, got tag_to_long"):
        plan(inputs("TN+t"), tasks=("tag_to_long",))
    with pytest.raises(ValueError, match=r"compat must be .* got 'kgen'"):
        plan(inputs("TN+t"), compat="kgen")


@pytest.mark.parametrize(
    ("given", "targets", "passes"),
    [
        ("T", ("short", "none"), "none c t"),
        ("T", ("short", "very_long"), "none c t; tag_to_long f n"),
        ("T", ("none", "very_long"), "tag_to_long f n"),
        ("T", ("none", "none"), ""),
        ("N", ("short", "very_long"), "long_to_tag c t"),
        ("N", ("none", "very_long"), "long_to_tag c n"),
        ("N", ("short", "none"), "long_to_tag f t"),
        ("TN", ("short", "very_long"), "short_to_tag c t; tag_to_long c n"),
        ("", ("short", "very_long"), "none c t; tag_to_long c n"),
        ("", ("none", "very_long"), "tag_to_long c n"),
    ],
)
def test_length_targets_say_what_is_wanted(given, targets, passes):
    case = Inputs.from_lengths(
        has_tags="T" in given, has_prose="N" in given, tag_length=targets[0], prose_length=targets[1]
    )
    assert told(plan(case)) == passes


# Lengths


def test_minima_and_maxima_are_those_of_training_and_kgens_those_of_kgen():
    table = {name: limits(name) for name in lengths.LIMITS}
    assert [t.min_tags for t in table.values()] == [6, 18, 36, 48]
    assert [t.max_tags for t in table.values()] == [18, 36, 48, 72]
    assert [(t.min_sentences, t.max_sentences) for t in table.values()] == [(1, 2), (2, 4), (4, 8), (6, 18)]
    kgen = {name: limits(name, "kgen-0.3.1") for name in lengths.KGEN_LIMITS}
    assert [t.min_tags for t in kgen.values()] == [6, 18, 36, 54]
    assert [t.max_tags for t in kgen.values()] == [18, 36, 54, 72]
    assert [(t.min_sentences, t.max_sentences) for t in kgen.values()] == [(1, 2), (2, 4), (4, 8), (8, 10000)]


def test_every_length_that_can_be_chosen_has_limits_and_none_is_nothing():
    for name in options.LENGTHS:
        for compat in options.COMPATS:
            assert limits(name, compat).max_tags >= limits(name, compat).min_tags
    assert limits("none") == lengths.Limits(0, 0, 0, 0)
    assert set(options.LENGTHS) - {"none"} == set(wire.LENGTH_TOKENS)


def test_every_table_of_lengths_has_the_same_lengths_and_they_agree():
    tables = (lengths.LIMITS, lengths.KGEN_LIMITS, lengths.BUCKETS, lengths.PARAGRAPHS)
    assert {tuple(table) for table in tables} == {tuple(lengths.LIMITS)}
    for name, (paragraphs, sentences) in lengths.PARAGRAPHS.items():
        assert lengths.LIMITS[name].max_sentences == paragraphs * sentences


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        (0, "very_short"),
        (17, "very_short"),
        (18, "short"),
        (35, "short"),
        (36, "long"),
        (47, "long"),
        (48, "very_long"),
        (500, "very_long"),
    ],
)
def test_a_bucket_begins_where_training_began_it(tags, name):
    assert bucket(tags) == name
    if tags <= 72:
        assert tags <= limits(name).max_tags


@pytest.mark.parametrize("arguments", [("huge",), ("long", "kgen")])
def test_an_unknown_length_or_compat_is_refused(arguments):
    with pytest.raises(ValueError, match="must be"):
        limits(*arguments)
