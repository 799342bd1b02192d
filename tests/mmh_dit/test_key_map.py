"""Rules for names: what they may say, and that no file makes them take long."""

import json
import time

import pytest
import torch

from presample.models.mmh_dit.key_map import MAX_BYTES, KeyMap


def one(**rule):
    return KeyMap.from_dict({"rules": [rule]})


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+",
        "(a|aa)(a|aa)(a|aa)b",
        r"(\d+)(\d+)",
        ".*",
        "a.b",
        r"([^.]+)+",
        r"(?P<x>a)",
        r"(a)\1",
        "[a-z]+",
        "a" * 300,
        "(a",
        r"a\.\.(",
        "(?=a)",
        7,
        None,
    ],
)
def test_patterns_that_could_take_long_or_mean_more_are_refused(pattern):
    with pytest.raises(ValueError, match=r"rule 1: from must"):
        one(**{"from": pattern, "to": "x"})


def test_the_worst_pattern_that_is_allowed_is_quick():
    words = "|".join(["a" * n for n in range(1, 12)])
    rule = {"from": r"\.".join([f"a({words})a"] * 2), "to": "x"}
    many = {"from": r"\.".join([r"a([^.]+)a"] * 17), "to": "x"}
    tensors = {"a" * 5_000 + "." * 30 + "b": torch.ones(1), ".".join(["a" * 200] * 20) + "b": torch.ones(1)}
    begin = time.process_time()
    assert not KeyMap.from_dict({"rules": [rule, many] * 100}).apply(tensors).tensors
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"to": "x"}, "with a from"),
        ({"from": "a", "to": "x", "run": "y"}, "a rule is an object"),
        ({"from": "a"}, "either to or drop"),
        ({"from": "a", "to": "x", "drop": True}, "either to or drop"),
        ({"from": "a", "to": r"x.\1"}, "may use the 0 groups"),
        ({"from": r"(\d+)", "to": r"x.\2"}, "may use the 1 groups"),
        ({"from": "a", "to": r"x\g<0>"}, "must be a name"),
        ({"from": "a", "to": ["x", 3]}, "a list of names"),
        ({"from": "a", "to": "x", "part": [3, 3]}, "0 <= i < n"),
        ({"from": "a", "to": "x", "part": [0, 10**9]}, "0 <= i < n"),
        ({"from": "a", "to": "x", "part": [True, 2]}, "0 <= i < n"),
        ({"from": "a", "to": "x", "transpose": 1}, "transpose must be true or false"),
        ({"from": "a", "to": ["x", "y"], "part": [0, 2]}, "merges"),
        ("a", "a rule is an object"),
    ],
)
def test_rules_without_sense_are_refused(rule, said):
    with pytest.raises(ValueError, match=said):
        KeyMap.from_dict({"rules": [{"from": "b", "to": "c"}, rule]})


def test_the_first_rule_that_matches_the_whole_name_counts():
    rules = [{"from": r"a\.(\d+)", "to": r"x.\1"}, {"from": r"a\.([^.]+)", "to": r"y.\1"}]
    found = KeyMap.from_dict({"rules": rules}).apply(
        {name: torch.ones(1) for name in ("a.1", "a.b", "a.1.c", "za.1")}
    )
    assert set(found.tensors) == {"x.1", "y.b"}
    assert found.unmatched == ("a.1.c", "za.1")


def test_digits_behind_a_group_stay_digits():
    found = one(**{"from": r"layers\.(\d+)\.(w|b)", "to": r"blocks.\10.\2\100"}).apply(
        {"layers.3.w": torch.ones(1)}
    )
    assert list(found.tensors) == ["blocks.30.w300"]


def test_what_cannot_be_put_together_is_told():
    square = torch.ones(4, 4)
    number = one(**{"from": "a", "to": "x", "part": [0, 1]}).apply({"a": square[0, 0]})
    assert number.problems == ("a is a single number; a part needs rows",)
    assert (
        "transpose needs 2"
        in one(**{"from": "a", "to": "x", "transpose": True}).apply({"a": square[0]}).problems[0]
    )
    assert (
        "cannot be cut into 3" in one(**{"from": "a", "to": ["x", "y", "z"]}).apply({"a": square}).problems[0]
    )
    assert "already" in one(**{"from": "(a|b)", "to": "x"}).apply({"a": square, "b": square}).problems[0]
    twice = one(**{"from": "(a|b)", "to": "x", "part": [0, 1]}).apply({"a": square, "b": 2 * square})
    assert "b would be x, which another tensor is already" in twice.problems
    rules = [{"from": "a", "to": "x", "part": [0, 2]}, {"from": "b", "to": "x", "part": [1, 2]}]
    both = KeyMap.from_dict({"rules": rules})
    assert "do not fit" in both.apply({"a": square, "b": square[:, :3]}).problems[0]
    merged = both.apply({"b": square * 2, "a": square}).tensors["x"]
    assert torch.equal(merged, torch.cat((square, square * 2)))


@pytest.mark.parametrize("content", ["{", "[]", '{"rules": {}}', '{"rules": [], "other": 1}', "[" * 50_000])
def test_a_file_that_is_no_key_map_is_refused(tmp_path, content):
    path = tmp_path / "map.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"map\.json"):
        KeyMap.from_json(path)


def test_a_key_map_may_begin_with_the_mark_of_an_editor_and_is_utf_8(tmp_path):
    path = tmp_path / "map.json"
    path.write_text('{"rules": [{"from": "a", "to": "b"}]}', encoding="utf-8-sig")
    assert KeyMap.from_json(path).rules[0].targets == ("b",)
    path.write_text('{"rules": []}', encoding="utf-16")
    with pytest.raises(ValueError, match=r"map\.json must be UTF-8"):
        KeyMap.from_json(path)


def test_a_key_map_may_not_be_huge(tmp_path):
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"rules": [], "config": {"x": "y" * MAX_BYTES}}))
    with pytest.raises(ValueError, match="bytes"):
        KeyMap.from_json(path)
    with pytest.raises(ValueError, match="at most"):
        KeyMap.from_dict({"rules": [{"from": "a", "drop": True}] * 1001})


def test_a_matrix_that_is_transposed_is_cut_after_that():
    rule = {"from": "a", "to": ["x", "y", "z"], "transpose": True}
    tall = torch.arange(90.0).view(10, 9)
    found = one(**rule).apply({"a": tall})
    assert not found.problems
    assert torch.equal(torch.cat([found.tensors[name] for name in "xyz"]), tall.T)
    assert "(10, 9) cannot be cut into 3" in one(**rule).apply({"a": tall.T}).problems[0]
    assert "(4, 9) cannot be cut into 3" in one(**rule).apply({"a": torch.ones(9, 4)}).problems[0]
