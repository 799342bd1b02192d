"""A job gives every image the expansion that it would have alone, and writes equal ones once."""

from dataclasses import replace

import pytest

from presample.models.interrupt import Interrupted
from presample.models.tipo import jobs
from presample.models.tipo.expand import expand, expand_many
from presample.models.tipo.expansion import Request
from presample.models.tipo.jobs import Seeding, expand_job, follow, requests_for
from presample.models.tipo.options import ExpandOptions

SHORT = ExpandOptions(tag_length="very_short", prose_length="none")
PROMPTS = ["lake, night", "forest", "lake, night", "snow\nBREAK\ncity"]


def asked(prompts, seeds, **options):
    return requests_for(Request("", options=replace(SHORT, **options)), prompts, seeds)


@pytest.mark.parametrize(
    ("seeding", "seeds"),
    [
        (Seeding(7), [7, 8, 9]),
        (Seeding(7, same=True), [7, 7, 7]),
        (Seeding(7, linked=True), [100, 5, 2]),
        (Seeding(7, linked=True, same=True), [100, 100, 100]),
        (Seeding(2**64 - 1), [2**64 - 1, 0, 1]),
    ],
)
def test_seeds_are_the_panels_or_the_images(seeding, seeds):
    assert seeding.seeds([100, 5, 2]) == seeds


def test_every_image_has_the_expansion_that_it_would_have_alone(tipo, monkeypatch):
    monkeypatch.setattr(jobs, "ROWS", 2)
    requests = asked(PROMPTS, [1, 2, 3, 4])
    for found, request in zip(expand_job(requests, tipo), requests, strict=True):
        assert found.prompt == expand(request, tipo).prompt


def test_equal_requests_share_one_expansion(tipo):
    first, second, other = expand_job(asked(["lake", "lake", "lake"], [1, 1, 2]), tipo)
    assert first is second
    assert other.seed == 2


def test_a_tree_grows_over_the_images_of_one_prompt(tipo):
    requests = asked(["lake", "forest", "lake"], [1, 2, 3], variety="tree", temperature=1.2)
    found = expand_job(requests, tipo)
    lakes = expand_many(requests[0], 2, tipo)
    assert [found[0].prompt, found[2].prompt] == [each.prompt for each in lakes]
    assert found[1].prompt == expand(requests[1], tipo).prompt


def test_progress_is_that_of_the_whole_job_and_a_stop_is_obeyed(tipo, monkeypatch):
    monkeypatch.setattr(jobs, "ROWS", 2)
    told = []
    expand_job(
        asked(PROMPTS, [1, 2, 3, 4]), tipo, on_progress=lambda progress: told.append(progress.fraction)
    )
    assert max(told[: len(told) // 4]) <= 0.5 < told[-1] <= 1.0
    with pytest.raises(Interrupted):
        expand_job(asked(PROMPTS, [1, 2, 3, 4]), tipo, should_stop=lambda: True)


def test_hires_prompts_follow_only_where_they_were_the_prompt():
    assert follow(["a", "own", "b"], ["a", "b", "b"], ["a, x", "b, y", "b, z"]) == ["a, x", "own", "b, z"]
