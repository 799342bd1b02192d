"""The trainer: its tokenizer, batches and loss mask, a run of twenty steps, and the bundled model's card."""

import hashlib
import json
from itertools import islice
from pathlib import Path

import pytest
import torch

from presample.models.tipo import wire
from presample.models.tipo.training import card, corpus, samples
from presample.models.trainer.card import page, read

BUNDLED = Path(card.__file__).parents[2] / "bundled" / "tipo-tiny"

tokenizers = pytest.importorskip("tokenizers", reason="training needs presample[train]")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A tokenizer trained on a few records."""
    from presample.models.tipo.training.tokenizer import train_tokenizer

    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_tokenizer((s.text for s in corpus.chunk(0, 0, 0, count=300)), path, size=1024)
    return tokenizers.Tokenizer.from_file(str(path))


@pytest.fixture
def trainer(monkeypatch):
    """The trainer, where its packages are, with less data."""
    pytest.importorskip("accelerate", reason="training needs presample[train]")
    pytest.importorskip("transformers", reason="training needs presample[train]")
    from presample.models.tipo.training import train

    monkeypatch.setattr(train, "CHUNK", 96)
    monkeypatch.setattr(train, "HELD_OUT", 24)
    return train


def test_the_vocabulary_is_laid_out_like_tipos(small):
    assert small.get_vocab_size() == 1024
    assert [small.id_to_token(i) for i in (0, 1, 2, 3, 13, 258)] == [
        "<unk>", "<s>", "</s>", "<0x00>", "<0x0A>", "<0xFF>",
    ]  # fmt: skip
    assert [small.id_to_token(1024 - 13 + i) for i in range(13)] == list(wire.SPECIAL_TOKENS)


def test_signs_and_digits_are_pieces_of_their_own(small):
    for piece, index in small.get_vocab().items():
        if index > 258 and piece not in wire.SPECIAL_TOKENS and len(piece) > 1:
            assert all(c.isalpha() or c == "▁" for c in piece), piece
            assert "▁" not in piece[1:], piece


@pytest.mark.parametrize("text", ["tag: 1girl, lake,night", "long: A b.\n\nC  d", "Ω水🌊 ^_^ (x:1.2)", " a "])
def test_every_text_survives(small, text):
    assert small.decode(small.encode(text).ids) == text


def test_a_request_has_the_same_ids_alone_and_in_its_sample(small):
    for s in corpus.chunk(1, 0, 0, count=60):
        request, whole = small.encode(s.text[: s.start]).ids, small.encode(s.text).ids
        assert whole[: len(request)] == request


def test_the_loss_begins_with_the_answer_or_with_the_text(small):
    from presample.models.tipo.training.batches import IGNORED, collate, encode

    drawn = list(corpus.chunk(1, 0, 1, count=60))
    encoded = encode(drawn, small)
    ids, labels = collate(encoded, 2)
    assert ids.shape[1] % 16 == 0
    for s, e, row, target in zip(drawn, encoded, ids.tolist(), labels.tolist(), strict=True):
        assert (e.ids[0], e.ids[-1]) == (1, 2)
        skipped = 1 if s.whole else len(small.encode(s.text[: s.start]).ids)
        assert target[:skipped] == [IGNORED] * skipped
        assert target[skipped : len(e.ids)] == row[skipped : len(e.ids)] == e.ids[skipped:]
        assert set(target[len(e.ids) :]) <= {IGNORED}


def test_batches_hold_every_sample_once_and_keep_to_their_size(small):
    from presample.models.tipo.training.batches import batches, collate, encode

    encoded = encode(list(corpus.chunk(1, 0, 2, count=200)), small)
    groups = batches(encoded, 4096)
    assert sorted(map(id, encoded)) == sorted(id(e) for g in groups for e in g)
    assert all(collate(g, 2)[0].numel() <= 4096 for g in groups)
    assert len({collate(g, 2)[0].shape for g in groups}) <= 30


def test_the_stream_is_the_same_from_any_batch_on(small, trainer):
    options = trainer.TrainOptions(tokens=4096)
    straight = list(islice(trainer.stream(options, small), 14))
    assert len({id(group) for group in straight}) == 14
    for skip in (3, 9, 12):
        assert list(islice(trainer.stream(options, small, skip=skip), 2)) == straight[skip : skip + 2]
    assert next(trainer.stream(options, small, rank=1)) != straight[0]


def test_records_of_the_corpus_are_of_every_kind_and_follow_the_seed():
    drawn = list(corpus.chunk(3, 0, 0, count=400))
    assert drawn == list(corpus.chunk(3, 0, 0, count=400))
    assert {s.task for s in drawn} == set(wire.TASKS)
    assert {s.length for s in drawn} == set(wire.LENGTH_TOKENS)
    assert all(not s.whole or s.loss_start == 0 for s in drawn)
    assert not {s.text for s in corpus.held_out(3, 50)} & {s.text for s in drawn}


def tiny(trainer, folder):
    return trainer.TrainOptions(
        out=str(folder), steps=20, save_every=12, lr=0.01, warmup=2, tokens=1024, vocabulary=512,
        hidden=32, layers=1, heads=2, mlp=32, precision="no",
    )  # fmt: skip


def test_twenty_steps_learn_and_leave_the_global_state_alone(trainer, tmp_path):
    before = torch.random.get_rng_state()
    facts = trainer.train(tiny(trainer, tmp_path))
    assert torch.equal(before, torch.random.get_rng_state())
    assert facts["held_out_loss"]["text"] < 6.0  # a fresh model is at log 512 = 6.24
    made = {p.name for p in tmp_path.iterdir()}
    assert made == {"config.json", "model.safetensors", "tokenizer.json", "card.json", "training"}
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "llama"
    assert read(tmp_path)["training"]["options"]["steps"] == 20


def test_an_interrupted_training_ends_as_if_it_had_not_been(trainer, tmp_path, monkeypatch):
    straight = trainer.train(tiny(trainer, tmp_path / "straight"))
    loss, done = trainer.loss, []

    def stop_at_sixteen(*args):
        done.append(loss(*args))
        if len(done) == 16:
            raise KeyboardInterrupt
        return done[-1]

    monkeypatch.setattr(trainer, "loss", stop_at_sixteen)
    with pytest.raises(KeyboardInterrupt):
        trainer.train(tiny(trainer, tmp_path / "broken"))
    monkeypatch.setattr(trainer, "loss", loss)
    again = trainer.train(tiny(trainer, tmp_path / "broken"))
    assert again | {"seconds": 0} == straight | {"seconds": 0}
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("straight", "broken")]
    assert files[0] == files[1]


def test_the_bundled_model_reaches_its_thresholds():
    found = read(BUNDLED)
    assert {name: measure["least"] for name, measure in found["measures"].items()} == card.LEAST
    for name, least in card.LEAST.items():
        assert found["metrics"]["own"][name] >= least, name
    likelihood = found["metrics"]["likelihood"]
    assert likelihood["exact"] < likelihood["model"] < likelihood["unigram"]


def test_the_bundled_files_are_those_of_the_card():
    assert set(read(BUNDLED)["files"]) == set(card.FILES)
    for name, facts in read(BUNDLED)["files"].items():
        assert hashlib.sha256((BUNDLED / name).read_bytes()).hexdigest() == facts["sha256"], name
        assert (BUNDLED / name).stat().st_size == facts["bytes"]
    assert (BUNDLED / "model.safetensors").stat().st_size <= 12 * 2**20


def test_the_bundled_page_says_what_the_card_says():
    found = read(BUNDLED)
    told = page(found, card.card(BUNDLED, found["metrics"]))
    assert told == (BUNDLED / "CARD.md").read_text(encoding="utf-8")


def test_the_bundled_tokenizer_is_the_trainers_own():
    found = json.loads((BUNDLED / "tokenizer.json").read_text(encoding="utf-8"))
    added = {t["content"] for t in found["added_tokens"]}
    assert added == {"<unk>", "<s>", "</s>", *wire.SPECIAL_TOKENS}
    assert found["model"]["vocab"][","] > 258


def test_a_sample_is_never_longer_than_the_context():
    tokenizer = tokenizers.Tokenizer.from_file(str(BUNDLED / "tokenizer.json"))
    longest = max(len(tokenizer.encode(s.text).ids) for s in corpus.chunk(5, 0, 0, count=400))
    assert longest + 1 < 1024
    assert isinstance(corpus.habits(), samples.Habits)
