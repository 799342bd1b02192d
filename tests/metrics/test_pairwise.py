"""Votes on blind pairs, and what they decide."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from presample.models import cli
from presample.models.cli.eval_pairwise_page import Room
from presample.models.metrics.pairwise import (
    Ballots,
    PairwiseOptions,
    binomial_test,
    find_pairs,
    tally,
    wilson,
)


def picture(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def folders(tmp_path):
    """Two folders of five pictures each, as far as their names count."""
    for number in range(5):
        picture(tmp_path / "ours" / f"{number}.png", b"a")
        picture(tmp_path / "theirs" / f"{number}.jpg", b"bb")
    return tmp_path / "ours", tmp_path / "theirs"


@pytest.fixture
def ballots(folders, tmp_path):
    def make(name="votes.sqlite", **options):
        return Ballots(tmp_path / name, find_pairs(*folders)[0], PairwiseOptions(**options))

    return make


def judge(ballots, voter, prefer="a"):
    """A person who judges all that is left for them, for one of the folders."""
    seen = []
    while turn := ballots.turn(voter):
        seen.append(turn)
        side = "same" if prefer == "same" else "left" if turn.left == prefer else "right"
        assert ballots.vote(voter, turn.pair.name, side)
    return seen


def test_pairs_have_the_same_name_in_both_folders_whatever_their_format(folders):
    picture(folders[0] / "people" / "7.webp", b"a")
    picture(folders[1] / "people" / "7.png", b"b")
    picture(folders[1] / "alone.png", b"b")
    (folders[0] / "2.txt").write_text("a lake\n")
    pairs, alone = find_pairs(*folders, {"7": "two people", "people/8": "nobody"})
    assert [(pair.name, pair.prompt) for pair in pairs] == [
        *((str(n), "a lake" if n == 2 else "") for n in range(5)),
        ("people/7", "two people"),
    ]
    assert alone == ["alone"]


def test_folders_without_a_common_name_are_refused(folders, tmp_path):
    picture(tmp_path / "other" / "x.png", b"a")
    with pytest.raises(ValueError, match="share none"):
        find_pairs(folders[0], tmp_path / "other")
    picture(folders[0] / "1.jpg", b"a")
    with pytest.raises(ValueError, match="one picture of a name"):
        find_pairs(*folders)


@pytest.mark.parametrize(("link", "file"), [("ours/x.png", "x.png"), ("ours/1.txt", "secret.txt")])
def test_links_that_leave_their_folder_are_never_shown(folders, tmp_path, link, file):
    picture(tmp_path / file, b"secret")
    picture(folders[1] / "x.png", b"b")
    try:
        (tmp_path / link).symlink_to(tmp_path / file)
        (folders[0] / "again.png").symlink_to("0.png")
    except OSError:
        pytest.skip("this system makes no links")
    with pytest.raises(ValueError, match="a link that leaves it"):
        find_pairs(*folders)
    (tmp_path / link).unlink()
    picture(folders[1] / "again.png", b"b")
    assert "again" in [pair.name for pair in find_pairs(*folders)[0]]


def test_the_page_says_who_votes_and_forgets_them_when_told(ballots):
    room = Room(ballots(), dict)
    voter, pair, gate, booth, *_, who, name = room.opened(" Anna ")
    assert (voter, gate, booth) == ("Anna", {"visible": False}, {"visible": True})
    assert (who, name) == ({"value": "You are Anna. Not you?"}, {})
    assert pair
    voter, pair, gate, booth, *_, name = room.opened("")
    assert (voter, pair, gate, booth) == ("", "", {"visible": True}, {"visible": False})
    assert name == ""  # Ben types his own where Anna's stood


def test_a_person_sees_every_pair_once_and_both_sides_about_equally(ballots):
    study = ballots(votes=1000)
    lefts = Counter()
    for person in range(12):
        seen = judge(study, f"p{person}")
        assert sorted(turn.pair.name for turn in seen) == list("01234")
        lefts.update(turn.left for turn in seen)
    assert 18 < lefts["a"] < 42  # of 60: three standard deviations
    assert study.tally().votes_a == 60


def test_the_same_pair_and_side_are_there_again_after_a_restart(ballots):
    first = ballots().turn("ann")
    assert ballots().turn("ann") == first
    assert ballots().progress("ann") == (0, 5)


def test_a_pair_that_others_judge_meanwhile_stays_for_who_sees_it(ballots):
    study = ballots(votes=1)
    room = Room(study, dict)
    seen = room.opened("ann")[1]
    assert len(judge(study, "bob")) == 5
    assert study.progress("ann") == (0, 1)
    assert room.opened("ann")[1] == seen
    assert study.vote("ann", seen, "left")
    assert study.progress("ann") == (1, 1)


def test_a_second_click_on_a_judged_pair_counts_nothing(ballots):
    study = ballots()
    first = study.turn("ann")
    assert study.vote("ann", first.pair.name, "left")
    assert not study.vote("ann", first.pair.name, "right")
    study.turn("ann")
    assert not study.vote("ann", first.pair.name, "right")
    assert not study.vote("ann", "no such pair", "right")
    with pytest.raises(ValueError, match="left, right, same; got 'top'"):
        study.vote("ann", study.turn("ann").pair.name, "top")
    assert study.votes() == [(first.pair.name, first.left)]


def test_a_vote_can_be_taken_back(ballots):
    study = ballots()
    assert not study.back("ann")
    first = study.turn("ann")
    study.vote("ann", first.pair.name, "left")
    study.turn("ann")
    assert study.back("ann")
    assert study.votes() == []
    assert study.turn("ann") == first


def test_people_are_spread_over_pairs_and_stop_at_the_wanted_number(ballots):
    study = ballots(votes=3)
    assert len({study.turn(f"p{person}").pair.name for person in range(5)}) == 5
    for person in range(5):
        judge(study, f"p{person}")
    found = study.tally()
    assert found.open == 0
    assert 15 <= found.votes_a <= 19  # the one that was on the page of each may be one too many
    assert study.turn("late") is None


def test_many_people_vote_at_once_and_no_vote_is_lost(ballots):
    ballots()
    people = [f"p{person}" for person in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: judge(ballots(votes=1000), name), people))
    assert Counter(ballots().votes()) == Counter({(str(pair), "a"): 4 for pair in range(5)})


def test_votes_on_other_pictures_are_not_mixed_in(ballots, folders):
    ballots()
    picture(folders[1] / "3.jpg", b"another")
    with pytest.raises(ValueError, match="--votes-file"):
        ballots()


@pytest.mark.parametrize(
    ("a", "b", "same", "decided"),
    [
        (7, 0, 0, "a"),
        (4, 3, 0, "tie"),  # a margin of one
        (3, 4, 0, "tie"),
        (5, 2, 0, "a"),
        (4, 2, 1, "a"),
        (2, 4, 1, "b"),
        (3, 2, 2, "tie"),
        (0, 0, 7, "tie"),
        (6, 0, 0, "open"),  # six people only
        (8, 1, 0, "a"),
    ],
)
def test_a_pair_is_decided_as_in_the_paper(a, b, same, decided):
    votes = [("x", "a")] * a + [("x", "b")] * b + [("x", "same")] * same
    found = tally(votes, 1)
    counts = {"a": found.wins_a, "b": found.wins_b, "tie": found.ties, "open": found.open}
    assert counts == {name: int(name == decided) for name in counts}


def test_the_statistics_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    for successes, trials in [(0, 0), (3, 3), (5, 10), (8, 11), (90, 160), (700, 1300), (10_300, 21_000)]:
        expected = stats.binomtest(successes, trials) if trials else None
        assert binomial_test(successes, trials) == pytest.approx(expected.pvalue if trials else 1.0, rel=1e-9)
        if trials:
            interval = expected.proportion_ci(method="wilson")
            assert wilson(successes, trials) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_a_tally_is_printed_for_people_and_for_programs(ballots, folders, tmp_path, capsys):
    study = ballots(votes=3)
    for person in range(3):
        judge(study, f"p{person}")
    command = ["eval", "pairwise", *map(str, folders), "--votes", "3", "--tally"]
    command += ["--votes-file", str(tmp_path / "votes.sqlite")]
    assert cli.main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["wins_a"], found["wins_b"], found["open"], found["favoured"]) == (5, 0, 0, None)
    assert found["p_value"] == pytest.approx(2 / 32)
    assert cli.main(command) == 0
    assert "wins 100.0% of won pairs" in capsys.readouterr().out
