"""The measure of how well pictures follow their prompts."""

import pytest
import torch

from presample.models.mmh_dit.training import evaluate
from presample.models.mmh_dit.training.distance import Distances, distances
from presample.models.mmh_dit.training.evaluate import EvalOptions, Request
from presample.models.tinyworld.oracle import shown


class Perfect:
    """Paints a picture that says by its brightness which request it is of."""

    def __init__(self, asked: list[Request]):
        self.asked = asked
        self.seeds = [r.noise_seed for r in asked]
        self.sizes = []

    def pictures(self, prompts, seeds, *, width, height, options):
        numbers = [self.seeds.index(seed) for seed in seeds]
        assert [self.asked[n].prompt.text for n in numbers] == list(prompts)
        self.sizes += [(width, height)] * len(numbers)
        return torch.tensor(numbers)[:, None, None, None].expand(-1, 3, height, width) / 1000

    def decode(self, latents):
        return torch.zeros(len(latents), 3, 8, 8)

    def read(self, images):
        numbers = (images[:, 0, 0, 0] * 1000).round().int().tolist()
        return [shown(self.asked[number].draw.scene) for number in numbers]


def features(images, prompts):
    """The mean colour of a picture, and the lengths of words in its prompt."""
    said = torch.tensor([[len(prompt), prompt.count(","), prompt.count(" ")] for prompt in prompts]) / 100
    return torch.cat((images.mean((2, 3)), said), 1)


def test_pictures_that_show_their_scene_meet_every_demand():
    """What is true of a scene is never demanded otherwise by its own prompt, but often by another."""
    asked = evaluate.requests(0, 32)
    perfect = Perfect(asked)
    options = EvalOptions(pictures=32, batch=5)
    judges = evaluate.Judges(perfect.read, encode=lambda images: images, embed=features)
    found = evaluate.measure(perfect, options, judges)
    assert evaluate.share(found.pictures) == 1.0
    assert evaluate.share(found.others) < 0.8
    assert evaluate.share(found.paintings) < 0.8  # all are read as the first one
    assert sum(count for _, count in found.pictures.values()) == sum(len(r.wanted) for r in asked)
    assert found.distances.pictures > found.distances.floor, "its pictures are grey"
    assert sorted(perfect.sizes) == sorted((r.draw.width, r.draw.height) for r in asked)


def test_requests_are_held_out_follow_the_seed_and_demand_what_can_be_seen():
    asked = evaluate.requests(0, 40)
    assert [r.prompt for r in asked] == [r.prompt for r in evaluate.requests(0, 40)]
    assert [r.prompt for r in asked] != [r.prompt for r in evaluate.requests(1, 40)]
    for request in asked:
        assert request.wanted
        assert "aspect" not in request.wanted
        truth = shown(request.draw.scene)
        assert all(truth[name] in values for name, values in request.wanted.items())


@pytest.mark.parametrize(("read", "right"), [({"season": "winter"}, (1, 1)), ({"season": "summer"}, (0, 1))])
def test_a_demand_is_met_by_any_of_its_values(read, right):
    wanted = {"season": frozenset({"winter", "autumn"})}
    assert evaluate.followed([read], [wanted]) == {"season": right}


def test_the_card_tells_what_was_measured(tmp_path):
    found = evaluate.Results(
        pictures={"season": (9, 10), "sky": (10, 10)},
        paintings={"season": (10, 10), "sky": (10, 10)},
        others={"season": (2, 10), "sky": (5, 10)},
        distances=Distances(0.2, floor=0.1, ceiling=0.5),
    )
    card = evaluate.card(tmp_path, found, EvalOptions())
    assert card.measures["accuracy"].value == 0.95
    assert card.measures["accuracy"].reached
    assert [card.measures[name].value for name in ("distance", "floor", "ceiling")] == [0.2, 0.1, 0.5]
    assert "| season | 10 | 90.0% | 100.0% |" in card.more[0]


def test_pictures_of_other_prompts_are_as_far_as_the_ceiling_and_true_ones_near_the_floor():
    generator = torch.Generator().manual_seed(0)

    def pairs(n):
        said = torch.randn(n, 4, generator=generator)
        return torch.cat((said + 0.1 * torch.randn(n, 4, generator=generator), said), 1)

    paintings, others, good, shuffled = (pairs(2000) for _ in range(4))
    shuffled[:, :4] = shuffled[:, :4].roll(7, 0)
    found = distances(good, paintings, others)
    assert found.pictures < 2 * found.floor < 0.1 * found.ceiling
    wrong = distances(shuffled, paintings, others)
    assert wrong.pictures == pytest.approx(found.ceiling, rel=0.1)
    assert distances(paintings, paintings, others).pictures == found.floor > 0, "no gain by equal prompts"
    with pytest.raises(ValueError, match="one shape"):
        distances(good[:9], paintings, others)


def test_another_seed_has_other_noise_for_the_same_number():
    seeds = {each.noise_seed % 2**32 for s in (0, 1) for each in evaluate.requests(s, 32)}
    assert len(seeds) == 64
