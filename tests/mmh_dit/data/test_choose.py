"""Choosing a fine-tuning set: quotas, farthest points, bounds, and `presample data select` as a whole."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pictures_for_tests import folder_of, lines, tiny_autoencoder
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parents[2] / "metrics"))

from scorers_for_tests import save_clip

from presample.models.mmh_dit.data.choose import Items, SelectOptions, allotments, choose, farthest
from presample.models.mmh_dit.data.selection import LOW, UNCHOSEN, UNFIT, WHY
from presample.models.mmh_dit.data.work import Folder, Made, Work

COUNTS = st.lists(st.integers(0, 50), min_size=1, max_size=8)


@given(COUNTS, st.integers(0, 500))
def test_even_quotas_differ_by_one_but_for_categories_that_have_no_more(counts, total):
    given_ = allotments(counts, total)
    assert sum(given_) == min(total, sum(counts))
    assert all(n <= count for n, count in zip(given_, counts, strict=True))
    most = max(given_)
    assert all(n >= most - 1 or n == count for n, count in zip(given_, counts, strict=True))


@given(COUNTS.filter(any), st.integers(0, 500))
def test_quotas_as_the_data_keep_the_proportions(counts, total):
    given_ = allotments(counts, total, "data")
    total = min(total, sum(counts))
    assert sum(given_) == total
    for n, count in zip(given_, counts, strict=True):
        assert abs(n - total * count / sum(counts)) < 1
        assert n <= count


def greedy(x, count):
    """Farthest points written out: of all that are left, the one whose nearest neighbour is farthest."""
    x, chosen = torch.nn.functional.normalize(x, dim=-1), [0]
    while len(chosen) < count:
        left = [i for i in range(len(x)) if i not in chosen]
        chosen.append(min(left, key=lambda i: max(float(x[i] @ x[j]) for j in chosen)))
    return chosen


@pytest.mark.parametrize("seed", range(5))
def test_farthest_points_are_those_of_the_definition(seed):
    x = torch.randn(24, 5, generator=torch.Generator().manual_seed(seed))
    assert farthest(x, 10) == greedy(x, 10)
    assert farthest(x, 99) == greedy(x, 24)
    assert farthest(x.half() * 7, 3)[0] == 0


def test_farthest_points_take_one_of_each_heap_before_a_second_of_any():
    generator = torch.Generator().manual_seed(0)
    heaps = torch.eye(6).repeat_interleave(9, 0) + 0.01 * torch.randn(54, 6, generator=generator)
    assert {row // 9 for row in farthest(heaps, 6)} == set(range(6))
    assert farthest(torch.ones(4, 3), 4) == [0, 1, 2, 3], "equal ones are still different items"


def kept(items, **options):
    return (choose(items, SelectOptions(**options)) == 0).nonzero().flatten().tolist()


def test_bounds_come_first_and_each_one_says_why():
    items = Items(["a"] * 4, torch.tensor([3.0, 5, 6, 7]), torch.tensor([0.9, 0.1, 0.3, 0.3]))
    why = choose(items, SelectOptions(least_score=4, least_fit=0.2))
    assert [WHY[i] for i in why.tolist()] == [LOW, UNFIT, "", ""]
    why = choose(items, SelectOptions(least_score=4, least_fit=0.2, count=1, pool=1))
    assert [WHY[i] for i in why.tolist()] == [LOW, UNFIT, UNCHOSEN, ""]
    assert kept(items) == [0, 1, 2, 3], "nothing asked for leaves nothing out"


def test_a_small_pool_keeps_the_best_scored_and_a_large_one_the_different():
    # Five like pictures with the highest scores, and three that are like nothing else.
    x = torch.cat([torch.eye(8)[:1].repeat(5, 1), torch.eye(8)[1:4]])
    items = Items(["a"] * 8, torch.tensor([9.0, 8.9, 8.8, 8.7, 8.6, 5.0, 4.0, 3.0]), None, x)
    assert kept(items, count=4, pool=1) == [0, 1, 2, 3]
    assert kept(items, count=4, pool=2) == [0, 5, 6, 7]
    assert kept(items, count=2, pool=3) == [0, 5], "the last two are no part of the six best scored"
    unscored = Items(items.categories, None, None, x)
    assert kept(unscored, count=4) == [0, 5, 6, 7], "without scores from all"


def test_every_category_has_its_number():
    categories = ["cat"] * 6 + ["dog"] * 3 + ["elk"]
    items = Items(categories, torch.arange(10.0), None, torch.eye(10))
    for quotas, wanted in (("even", {"cat": 3, "dog": 2, "elk": 1}), ("data", {"cat": 4, "dog": 2})):
        found = Counter(categories[i] for i in kept(items, count=6, pool=1, quotas=quotas))
        assert found == wanted
    assert kept(items, count=99, pool=1) == list(range(10))


@pytest.mark.parametrize(
    ("items", "options", "said"),
    [
        (Items(["a"] * 2), {"least_score": 4.0}, "presample data score"),
        (Items(["a"] * 2), {"least_fit": 0.1}, "--clip"),
        (Items(["a"] * 2), {"count": 1, "pool": 1}, "presample data score"),
        (Items(["a"] * 2), {"count": 1}, "presample data dedup"),
        (Items(["a"] * 9, torch.ones(9)), {"count": 1}, "presample data dedup"),
    ],
)
def test_what_is_missing_is_asked_for(items, options, said):
    with pytest.raises(ValueError, match=said):
        choose(items, SelectOptions(**options))


# The command


@pytest.fixture
def scored(run, tmp_path):
    """A work folder of six cats, three dogs and two pictures in no folder, with scores and embeddings."""
    for name, count in (("cat", 6), ("dog", 3), (".", 2)):
        folder_of(tmp_path / "pictures" / name, count, width=96, height=96)
    work = tmp_path / "work"
    run("scan", tmp_path / "pictures", "--work", work, "--part", 4)
    scores = Folder(work / "scores")
    scores.open({"model": "x"})
    for part in Work(work).parts:
        places = torch.arange(len(Work(work).items(part)))
        scores.write(part, Made({"places": places, "scores": 5.0 + 0.1 * part + 0.01 * places}, {}, {}))
    bounds = {"excellent": 6.0, "good": 5.2, "average": 4.0}
    (work / "tags.json").write_text(json.dumps(bounds))
    save_file({"embeddings": torch.eye(11)}, tmp_path / "e.safetensors")
    return work


def keys(work):
    return [item.key for part in Work(work).parts for item in Work(work).items(part)]


def test_the_chosen_go_on_and_the_others_are_named_with_the_reason(run, scored, tmp_path):
    select = ("select", scored, "--count", 6, "--embeddings", tmp_path / "e.safetensors", "--pool", 1.5)
    code, out, _ = run(*select)
    assert code == 0
    told = json.loads((scored / "report.json").read_text())["steps"]
    line = next(step for step in told if step["step"] == "select")
    assert line["categories"] == {"(no category)": 2, "cat": 2, "dog": 2}
    assert (line["kept"], line["left_out"]) == (6, {UNCHOSEN: 5})
    assert UNCHOSEN in out
    out_of_it = {each["key"] for each in lines(scored / "left_out.jsonl") if each["why"] == UNCHOSEN}
    chosen = set(keys(scored)) - out_of_it
    assert Counter(key.rpartition("/")[0] for key in chosen) == {"": 2, "cat": 2, "dog": 2}
    before = (scored / "select.safetensors").read_bytes()
    run(*select)
    assert (scored / "select.safetensors").read_bytes() == before, "chosen again, it is the same"

    tiny_autoencoder(tmp_path / "tiny.safetensors")
    latents = ("latents", scored, "--autoencoder", tmp_path / "tiny.safetensors", "--sizes", "96x96")
    assert run(*latents)[0] == 0
    told = json.loads((scored / "report.json").read_text())["steps"]
    assert next(s for s in told if s["step"] == "latents/96x96")["left_out"] == {UNCHOSEN: 5}
    run("select", scored, "--count", 3, "--pool", 1)
    code, _, err = run(*latents)
    assert code == 1
    assert "was made with selection" in err


def test_categories_of_ones_own_and_bounds_of_the_score(run, scored, tmp_path):
    names = keys(scored)
    own = {key: "even" if i % 2 else "odd" for i, key in enumerate(names)}
    (tmp_path / "c.json").write_text(json.dumps(own))
    flags = ("--categories", tmp_path / "c.json", "--count", 4, "--pool", 1, "--least-score", 5.1)
    assert run("select", scored, *flags)[0] == 0
    told = json.loads((scored / "report.json").read_text())["steps"]
    line = next(step for step in told if step["step"] == "select")
    assert line["categories"] == {"even": 2, "odd": 2}
    assert line["left_out"] == {LOW: 4, UNCHOSEN: 3}
    del own[names[5]]
    (tmp_path / "c.json").write_text(json.dumps(own))
    code, _, err = run("select", scored, *flags)
    assert code == 1
    assert repr(names[5]) in err


def test_a_choice_among_other_pictures_is_refused_until_it_is_made_again(run, scored, tmp_path):
    run("select", scored, "--count", 3, "--pool", 1)
    table = torch.eye(11)
    table[3] = table[2]
    save_file({"embeddings": table}, tmp_path / "d.safetensors")
    run("dedup", scored, "--embeddings", tmp_path / "d.safetensors")
    tiny_autoencoder(tmp_path / "tiny.safetensors")
    latents = ("latents", scored, "--autoencoder", tmp_path / "tiny.safetensors", "--sizes", "96x96")
    code, _, err = run(*latents)
    assert code == 1
    assert "presample data select" in err
    run("select", scored, "--count", 3, "--pool", 1)
    assert run(*latents)[0] == 0


def test_the_fit_of_a_caption_is_the_cosine_that_clip_gives(run, tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("sklearn", reason="near duplicates need presample[data]")
    from PIL import Image

    (tmp_path / "clip").mkdir()
    model = save_clip(tmp_path / "clip")
    config = json.loads((tmp_path / "clip" / "config.json").read_text())
    config["vision_config"]["projection_dim"] = 12  # as published ones say it for each side
    (tmp_path / "clip" / "config.json").write_text(json.dumps(config))
    pictures, said = (
        folder_of(tmp_path / "pictures", 6),
        ["lake", "moon cat", "tree", "cat", "lake moon", "moon"],
    )
    for i, caption in enumerate(said):
        (pictures / f"{i:03d}.txt").write_text(caption)
    work = tmp_path / "work"
    run("scan", pictures, "--work", work)
    assert run("select", work, "--clip", tmp_path / "clip", "--least-fit", 0)[0] == 1
    assert run("dedup", work, "--model", tmp_path / "clip", "--similarity", 0.9999)[0] == 0

    images = [Image.open(path).convert("RGB") for path in sorted(pictures.glob("*.png"))]
    pixels = transformers.CLIPImageProcessor.from_pretrained(tmp_path / "clip")(images, return_tensors="pt")
    words = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path / "clip")
    tokens = words(said, padding="max_length", max_length=8, return_tensors="pt")
    with torch.no_grad():
        made = model(input_ids=tokens.input_ids, pixel_values=pixels.pixel_values)
    fits = (made.image_embeds * made.text_embeds).sum(-1)
    bound = float(fits.sort().values[2:4].mean())

    assert run("select", work, "--clip", tmp_path / "clip", "--least-fit", bound)[0] == 0
    out = {each["key"] for each in lines(work / "left_out.jsonl") if each["why"] == UNFIT}
    left = [i for i, key in enumerate(keys(work)) if key in out]
    duplicates = {each["key"] for each in lines(work / "left_out.jsonl") if each["step"] == "dedup"}
    assert not duplicates
    assert left == [i for i in range(6) if fits[i] < bound]
    code, _, err = run("select", work, "--clip", pictures, "--least-fit", 0)
    assert code == 1
    assert "--clip must be the folder" in err
