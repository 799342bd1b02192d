"""Batches follow from seed and step: resumed, divided among processes or read by workers, the same."""

import itertools
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from presample.models.mmh_dit.data.cache import LatentBatches, LatentCache, pad, write_index
from presample.models.mmh_dit.data.work import Folder, Made, NotReady

SIZES = {"64x64": 9, "96x48": 4}
PARTS = 3


def latent(part, name, row):
    width, height = map(int, name.split("x"))
    return torch.full((16, height // 8, width // 8), float(100 * part + row + (50 if width > 64 else 0)))


def row_of(part, name, row):
    return {
        "key": f"{part}/{name}/{row}",
        "captions": [f"{part} {name} {row} {k}" for k in range(1 + row % 2)],
    }


def make_cache(root, *, selection="s", texts=True):
    """Three parts of two sizes each; the states of caption k of an item are its latent's value plus k."""
    latents, encoded = Folder(root / "latents"), Folder(root / "texts")
    latents.open({"selection": selection})
    encoded.open({"selection": "s"})
    for part in range(PARTS):
        tensors, rows, captions, states, place = {}, {}, [], [], 0
        for name, count in SIZES.items():
            tensors[name] = torch.stack([latent(part, name, i) for i in range(count)]).half()
            tensors[f"places{name}"] = torch.arange(place, place + count) * 2
            told = [row_of(part, name, i) for i in range(count)]
            rows[name] = "\n".join(json.dumps(one) for one in told)
            for i, one in enumerate(told):
                captions.append(one["captions"])
                value = latent(part, name, i)[0, 0, 0]
                states += [torch.full((1 + i % 3 + k, 4), value + k) for k in range(len(one["captions"]))]
            place += count
        latents.write(part, Made(tensors, {"rows": rows}, {}))
        counts = torch.tensor([0, *itertools.accumulate(len(c) for c in captions)])
        starts = torch.tensor([0, *itertools.accumulate(len(s) for s in states)])
        made = {"places": torch.arange(place) * 2, "captions": counts, "starts": starts}
        encoded.write(part, Made(made | {"states": torch.cat(states).bfloat16()}, {"captions": captions}, {}))
    for folder in (latents, encoded):
        write_index(folder, range(PARTS))
    return LatentCache.open(latents.path, encoded.path if texts else None)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return make_cache(tmp_path_factory.mktemp("cache"))


def stream(batches, *, skip=0, workers=0):
    return torch.utils.data.DataLoader(
        batches, batch_size=None, sampler=itertools.count(skip), num_workers=workers
    )


def same(a, b):
    plain = all(a[name] == b[name] for name in ("captions", "keys"))
    tensors = all(
        torch.equal(a[n], b[n]) if a[n] is not None else b[n] is None for n in ("latents", "text", "mask")
    )
    return plain and tensors


def test_a_row_is_the_latent_the_captions_and_their_states(cache):
    assert {size: len(places) for size, places in cache.sizes.items()} == {(64, 64): 27, (96, 48): 12}
    row = cache.row((96, 48), 2, 3)
    assert row.key == "2/96x48/3"
    assert row.captions == ["2 96x48 3 0", "2 96x48 3 1"]
    assert torch.equal(row.latent.float(), latent(2, "96x48", 3))
    assert [tuple(text.shape) for text in row.texts] == [(1, 4), (2, 4)]
    assert [float(text[0, 0]) for text in row.texts] == [253.0, 254.0]


def test_every_item_is_in_every_epoch_and_none_more_than_twice(cache):
    batches = LatentBatches(cache, batch=4, seed=1)
    everyone = {f"{p}/{name}/{i}" for p in range(PARTS) for name, n in SIZES.items() for i in range(n)}
    assert len(batches) == 7 + 3
    for epoch in range(3):
        keys = [key for step in range(len(batches)) for key in batches[epoch * len(batches) + step]["keys"]]
        assert set(keys) == everyone
        assert max(map(keys.count, keys)) <= 2
        assert len(keys) == 4 * len(batches)


def test_a_batch_has_one_size_and_belongs_together(cache):
    batches = LatentBatches(cache, batch=4)
    shapes = set()
    for step in range(len(batches)):
        batch = batches[step]
        shapes.add(tuple(batch["latents"].shape))
        for i, key in enumerate(batch["keys"]):
            part, name, row = key.split("/")
            value = float(latent(int(part), name, int(row))[0, 0, 0])
            assert float(batch["latents"][i, 0, 0, 0]) == value
            k = int(batch["captions"][i].rsplit(" ", 1)[1])
            assert batch["captions"][i] == f"{part} {name} {row} {k}"
            tokens = batch["text"][i][batch["mask"][i]]
            assert len(tokens) == 1 + int(row) % 3 + k
            assert (tokens == torch.tensor(value + k).bfloat16()).all()
            assert (batch["text"][i][~batch["mask"][i]] == 0).all()
    assert shapes == {(4, 16, 8, 8), (4, 16, 6, 12)}


def test_captions_take_turns_from_epoch_to_epoch(cache):
    batches = LatentBatches(cache, batch=4)
    seen = {}
    for step in range(2 * len(batches)):
        for key, caption in zip(batches[step]["keys"], batches[step]["captions"], strict=True):
            seen.setdefault(key, set()).add(caption)
    assert {len(seen["0/64x64/1"]), len(seen["0/64x64/2"])} == {1, 2}


def test_epochs_and_seeds_differ_and_a_seed_repeats(cache):
    def keys(seed, epoch):
        batches = LatentBatches(cache, batch=4, seed=seed)
        return [batches[epoch * len(batches) + i]["keys"] for i in range(len(batches))]

    assert keys(0, 0) == keys(0, 0)
    assert keys(0, 0) != keys(0, 1) != keys(1, 1)
    state = torch.get_rng_state()
    keys(5, 0)
    assert torch.equal(torch.get_rng_state(), state)


@settings(max_examples=20)
@given(skip=st.integers(0, 40), workers=st.just(0))
def test_a_run_goes_on_at_any_batch(cache, skip, workers):
    batches = LatentBatches(cache, batch=3, seed=7)
    whole = list(itertools.islice(stream(batches), skip + 3))
    resumed = list(itertools.islice(stream(batches, skip=skip, workers=workers), 3))
    assert all(same(a, b) for a, b in zip(whole[skip:], resumed, strict=True))


def test_worker_processes_change_nothing(cache):
    batches = LatentBatches(cache, batch=3)
    pairs = zip(stream(batches, skip=5), stream(batches, skip=5, workers=2), strict=False)
    assert all(same(a, b) for a, b in itertools.islice(pairs, 12))


@pytest.mark.parametrize(("count", "batch"), [(1, 12), (2, 6), (3, 4), (4, 3)])
def test_processes_share_the_same_global_batches(cache, count, batch):
    ranks = [LatentBatches(cache, batch=batch, count=count, rank=rank) for rank in range(count)]
    alone = LatentBatches(cache, batch=12)
    for step in range(2 * len(alone)):
        parts = [one[step] for one in ranks]
        assert [key for part in parts for key in part["keys"]] == alone[step]["keys"]
        assert len({part["latents"].shape for part in parts}) == 1


def test_balanced_batches_show_rare_sizes_more_often_and_resume_and_share_as_others(cache):
    whole = LatentBatches(cache, batch=4, seed=3, balance=0.0)
    seen = [whole[step] for step in range(200)]
    shapes = [tuple(batch["latents"].shape[-2:]) for batch in seen]
    assert shapes.count((6, 12)) == pytest.approx(100, abs=25)  # of 12 items, beside 27
    keys = [key for batch in seen for key in batch["keys"]]
    rare = [keys.count(f"{part}/96x48/{row}") for part in range(PARTS) for row in range(SIZES["96x48"])]
    assert max(rare) - min(rare) <= 1
    assert same(LatentBatches(cache, batch=4, seed=3, balance=0.0)[137], seen[137])
    halves = [LatentBatches(cache, batch=2, seed=3, balance=0.0, rank=rank, count=2) for rank in range(2)]
    assert [key for half in halves for key in half[137]["keys"]] == seen[137]["keys"]
    one = {
        c for batch in seen for k, c in zip(batch["keys"], batch["captions"], strict=True) if k == "0/64x64/1"
    }
    assert len(one) == 2, "captions take turns"


def test_a_size_with_too_few_items_is_named_and_left_out(cache, caplog):
    batches = LatentBatches(cache, batch=49)
    assert "96x48 (12)" in caplog.text
    assert {tuple(batches[step]["latents"].shape[-2:]) for step in range(4)} == {(8, 8)}
    with pytest.raises(ValueError, match="lower it"):
        LatentBatches(cache, batch=500)
    with pytest.raises(ValueError, match="rank"):
        LatentBatches(cache, batch=1, rank=2, count=2)


def test_a_batch_larger_than_its_size_repeats_items_at_most_four_times(cache):
    keys = LatentBatches(cache, batch=48)[0]["keys"]
    assert len(keys) == 48
    assert max(map(keys.count, keys)) <= 4


def test_without_texts_a_batch_has_captions_alone(tmp_path):
    batch = LatentBatches(make_cache(tmp_path, texts=False), batch=4)[0]
    assert batch["text"] is None is batch["mask"]
    assert len(batch["captions"]) == 4


def test_texts_of_another_selection_and_unfinished_folders_are_refused(tmp_path):
    with pytest.raises(NotReady, match="another selection"):
        make_cache(tmp_path / "a", selection="other")
    cache = make_cache(tmp_path / "b")
    (cache.latents.path / "index.json").unlink()
    with pytest.raises(NotReady, match="not finished"):
        LatentCache.open(cache.latents.path)


def test_texts_of_other_captions_are_refused(tmp_path):
    cache = make_cache(tmp_path)
    made = cache.texts.read(0)
    cache.texts.write(0, Made(made.tensors, {"captions": [["new"]] * len(made.facts["captions"])}, {}))
    with pytest.raises(NotReady, match="other captions"):
        LatentCache.open(cache.latents.path, cache.texts.path).row((64, 64), 0, 0)


def test_texts_are_padded_to_a_length_or_to_the_longest():
    texts = [torch.ones(2, 3), torch.ones(5, 3)]
    assert [tuple(part.shape) for part in pad(texts)] == [(2, 5, 3), (2, 5)]
    padded, mask = pad(texts, 8)
    assert padded.shape == (2, 8, 3)
    assert mask.sum(1).tolist() == [2, 5]
    with pytest.raises(ValueError, match="at most 4 tokens, got 5"):
        pad(texts, 4)


def test_few_files_stay_open(tmp_path, monkeypatch):
    monkeypatch.setattr("presample.models.mmh_dit.data.cache.OPEN_FILES", 2)
    cache = make_cache(tmp_path)
    batches = LatentBatches(cache, batch=4)
    for step in range(len(batches)):
        batches[step]
        assert len(cache._open) <= 2
