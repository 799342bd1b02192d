"""`presample data balance`: what its table promises is what a training then sees."""

from collections import Counter

import pytest
from pictures_for_tests import encoded, folder_of, picture, tiny_autoencoder

from presample.models import cli
from presample.models.mmh_dit.data.cache import LatentBatches, LatentCache
from presample.models.mmh_dit.data.work import Folder

pytest.importorskip("PIL", reason="pictures need presample[data]")

PICTURES = {(96, 80): 16, (80, 96): 4, (80, 80): 1}


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    """Latents of pictures in three shapes."""
    root = tmp_path_factory.mktemp("balance")
    tiny_autoencoder(root / "tiny.safetensors")
    folder_of(root / "pictures", 0)
    for (width, height), count in PICTURES.items():
        for i in range(count):
            name = root / "pictures" / f"{width}x{height}-{i}"
            name.with_suffix(".png").write_bytes(encoded(picture(width, height, seed=i)))
            name.with_suffix(".txt").write_text("picture")
    work = root / "work"
    sizes = ",".join(f"{width}x{height}" for width, height in PICTURES)
    assert cli.main(["data", "scan", str(root / "pictures"), "--work", str(work)]) == 0
    made = ["latents", str(work), "--autoencoder", str(root / "tiny.safetensors"), "--sizes", sizes]
    assert cli.main(["data", *made, "--name", "three"]) == 0
    return work / "latents" / "three"


def rows(out):
    """The table by bucket: pictures, share of the data, share of training, showings in an epoch."""
    head, *lines = out.splitlines()
    assert head.split("  ")[0].strip() == "bucket"
    found = {}
    for line in lines:
        bucket, _, pictures, share, drawn, shown = line.split()
        percents = (float(share.rstrip("%")) / 100, float(drawn.rstrip("%")) / 100)
        found[bucket] = (int(pictures), *percents, float(shown))
    return found


def test_the_table_is_that_of_square_roots_by_default(run, latents):
    code, out, _ = run("balance", latents)
    assert code == 0
    found = rows(out)
    assert {bucket: row[0] for bucket, row in found.items()} == {"96x80": 16, "80x96": 4, "80x80": 1}
    for bucket, root in (("96x80", 4), ("80x96", 2), ("80x80", 1)):  # of 16, 4 and 1 pictures; 7 in all
        pictures, share, drawn, shown = found[bucket]
        assert share == pytest.approx(pictures / 21, abs=6e-4)
        assert drawn == pytest.approx(root / 7, abs=2e-3)
        assert shown == pytest.approx(drawn * 21 / pictures, abs=0.02)


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (("--alpha", 1), (16 / 21, 4 / 21, 1 / 21)),
        (("--alpha", 0), (17 / 42, 17 / 42, 4 / 21)),  # the last one is capped, the others share what is left
        (("--alpha", 0, "--repeats", 1), (16 / 21, 4 / 21, 1 / 21)),
        (("--alpha", 0, "--repeats", 1000), (1 / 3, 1 / 3, 1 / 3)),
    ],
)
def test_alpha_and_the_cap_move_the_shares(run, latents, flags, wanted):
    found = rows(run("balance", latents, *flags)[1])
    shares = [found[bucket][2] for bucket in ("96x80", "80x96", "80x80")]
    assert shares == pytest.approx(wanted, abs=2e-3)


def test_a_training_sees_the_sizes_as_often_as_the_table_says(run, latents):
    said = {bucket: row[2] for bucket, row in rows(run("balance", latents)[1]).items()}
    batches = LatentBatches(LatentCache.open(latents), batch=1, seed=5, balance=0.5)
    shapes = Counter(tuple(batches[step]["latents"].shape[-2:]) for step in range(1000))
    seen = {f"{8 * w}x{8 * h}": count / 1000 for (h, w), count in shapes.items()}
    assert seen == pytest.approx(said, abs=5e-4)
    plain = LatentBatches(LatentCache.open(latents), batch=1, seed=5)
    unlike = Counter(tuple(plain[step]["latents"].shape[-2:]) for step in range(210))
    assert unlike[10, 12] / 210 == pytest.approx(16 / 21)
    assert abs(unlike[10, 12] / 210 - said["96x80"]) > 0.1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--alpha", 1.5), "alpha must lie in 0 to 1"),
        (("--repeats", 0.5), "repeats must lie in 1"),
        (("--window", 2), "at least the 3 buckets, got 2"),
    ],
)
def test_what_cannot_be_balanced_is_said(run, latents, flags, said):
    code, out, err = run("balance", latents, *flags)
    assert (code, out) == (1, "")
    assert said in err


def test_latents_that_are_not_finished_are_named(run, tmp_path):
    Folder(tmp_path / "half").open({"stage": "x"})
    code, _, err = run("balance", tmp_path / "half")
    assert code == 1
    assert "half is not finished" in err
