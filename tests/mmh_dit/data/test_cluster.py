"""On Ray the steps make the same files, byte for byte, and dedup keeps the same pictures."""

import pytest
import torch
from pictures_for_tests import folder_of, tiny_autoencoder, vision_folder

ray = pytest.importorskip("ray", reason="more than one machine needs presample[ray]")
pytest.importorskip("ray.data", reason="more than one machine needs presample[ray]")
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning"),
    pytest.mark.usefixtures("cluster"),
]


def parts(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("0*.safetensors")}


def test_every_step_makes_the_same_files_as_here(tmp_path):
    from presample.models import cli

    clip, tiny = vision_folder(tmp_path / "clip"), tiny_autoencoder(tmp_path / "tiny.safetensors")
    pictures = folder_of(tmp_path / "pictures", 12, width=96, height=96)
    (pictures / "004.png").write_bytes(b"broken")
    (pictures / "005.png").write_bytes((pictures / "006.png").read_bytes())
    for name, how in (("here", []), ("ray", ["--ray", "1"])):
        work = str(tmp_path / name)
        assert cli.main(["data", "scan", str(pictures), "--work", work, "--part", "4"]) == 0
        dedup = ["dedup", work, "--model", str(clip), "--similarity", "0.9999"]
        assert cli.main(["data", *dedup, *how]) == 0
        latents = ["latents", work, "--autoencoder", str(tiny), "--sizes", "64x64", "--crop", "random"]
        assert cli.main(["data", *latents, *how]) == 0
    here = parts(tmp_path / "here")
    assert len(here) == 6
    assert parts(tmp_path / "ray") == here
    for name in ("dedup.safetensors", "dedup.json", "report.json", "left_out.jsonl"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_subsets_are_clustered_as_here():
    from presample.models.cluster import RayOptions
    from presample.models.mmh_dit.data.cluster import each_on_ray
    from presample.models.mmh_dit.data.dedup import DedupOptions, deduplicate

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 16, generator=generator)
    x = torch.nn.functional.normalize(torch.cat([x, x[:80] + 0.02]), dim=-1)
    options = DedupOptions(subset=100)
    here = deduplicate(x, options)
    there = deduplicate(x, options, each=each_on_ray(RayOptions(ray=2, ray_cpus=0.5)))
    assert torch.equal(here.stands_for, there.stands_for)
    assert here.rounds == there.rounds
    assert not here.keep.all()
