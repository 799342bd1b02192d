"""Features of picture files, and distances of them, against torchmetrics, transformers, scipy and Pillow."""

import hashlib
import sys
import zlib
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from scorers_for_tests import save_clip, save_dinov2, save_pictures
from torch.torch_version import TorchVersion

from presample.models.metrics import features, pretrained
from presample.models.metrics.features import batches, find_pictures, load_features, open_picture
from presample.models.metrics.frechet import frechet_distance
from presample.models.metrics.inception import Inception, load_inception
from presample.models.metrics.preprocess import clean_square
from presample.models.metrics.pretrained import read_tensors
from presample.models.published.known import KnownFile
from presample.models.published.scorers import KnownScorer


@pytest.fixture
def fidelity(monkeypatch):
    """Only what is compared with is imported of torch-fidelity: other modules of it want torchvision."""
    spec = find_spec("torch_fidelity")
    if spec is None:
        pytest.skip("needs torch-fidelity: pip install --no-deps torch-fidelity")
    for name in [name for name in sys.modules if name.startswith(("torch_fidelity", "torchmetrics"))]:
        monkeypatch.delitem(sys.modules, name)
    package = ModuleType("torch_fidelity")
    package.__path__ = list(spec.submodule_search_locations)
    monkeypatch.setitem(sys.modules, "torch_fidelity", package)


def by_scipy(a, b):
    """The distance by the square root of a matrix, as the first FID has it."""
    linalg = pytest.importorskip("scipy.linalg")
    a, b = a.double().numpy(), b.double().numpy()
    c, d = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c + d - 2 * linalg.sqrtm(c @ d).real)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    save_pictures(root / "a", 24, seed=1)
    save_pictures(root / "b", 20, seed=2)
    return root / "a", root / "b"


@pytest.mark.parametrize("kind", ["fdd", "clip"])
def test_the_distance_of_two_folders_is_that_of_torchmetrics_and_scipy(kind, folders, tmp_path, fidelity):
    (save_dinov2 if kind == "fdd" else save_clip)(tmp_path)
    extractor = load_features(kind, tmp_path)
    a, b = (extractor.of(find_pictures(folder), batch=7) for folder in folders)
    found = frechet_distance(a, b)
    assert found == pytest.approx(by_scipy(a, b), rel=1e-3, abs=1e-6)
    fid = pytest.importorskip("torchmetrics.image.fid")
    moments = [x for y in (a.double(), b.double()) for x in (y.mean(0), torch.cov(y.T))]
    assert found == pytest.approx(float(fid._compute_fid(*moments)), abs=1e-3 * max(1.0, found))


def test_dinov2_features_are_the_class_token_at_unit_length(folders, tmp_path):
    model = save_dinov2(tmp_path)
    paths = find_pictures(folders[0])[:3]
    pixels = torch.stack([clean_square(open_picture(path), 224) for path in paths])
    mean, std = (torch.tensor(x)[:, None, None] for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        token = model(pixel_values=(pixels - mean) / std).last_hidden_state[:, 0]
    wanted = token / token.norm(dim=1, keepdim=True)
    torch.testing.assert_close(load_features("fdd", tmp_path).of(paths), wanted, atol=1e-5, rtol=0)


def test_pictures_are_resized_in_floating_point_channel_by_channel(folders):
    picture = open_picture(find_pictures(folders[0])[0])
    made = clean_square(picture, 30)
    x = np.asarray(picture).astype(np.float32)
    for c in range(3):
        channel = Image.fromarray(x[:, :, c]).resize((30, 30), Image.Resampling.BICUBIC)
        wanted = np.asarray(channel).clip(0, 255) / 255
        np.testing.assert_allclose(made[c].numpy(), wanted, atol=1e-6)
    assert (made * 255 - (made * 255).round()).abs().max() > 0.1  # not rounded to bytes


def random_inception():
    network, generator = Inception().eval(), torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5, generator=generator)
            torch.nn.init.normal_(module.running_mean, 0, 0.05, generator=generator)
        elif isinstance(module, torch.nn.Conv2d):
            spread = (2 / module.weight[0].numel()) ** 0.5
            torch.nn.init.normal_(module.weight, 0, spread, generator=generator)
    return network


def test_inception_features_are_those_of_torch_fidelity(tmp_path, fidelity):
    theirs = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")

    path = tmp_path / "inception.pth"
    classes = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    torch.save(random_inception().state_dict() | classes, path)
    extractor = theirs.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path)
    )
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(0, 256, (1, 3, 299, 299), generator=generator, dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(load_inception(path)(x / 255), extractor(x)[0], atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_fid_of_two_folders_is_that_of_torchmetrics(folders, tmp_path, fidelity):
    fid = pytest.importorskip("torchmetrics.image.fid")
    network = random_inception()
    torch.save(network.state_dict(), tmp_path / "inception.pth")
    extractor = load_features("fid", tmp_path / "inception.pth")
    paths = [find_pictures(folder) for folder in folders]
    network.num_features = 2048  # what torchmetrics asks of a network
    theirs = fid.FrechetInceptionDistance(feature=network)
    for real, each in zip((True, False), paths, strict=True):
        theirs.update(torch.stack([clean_square(open_picture(path), 299) for path in each]), real=real)
    found = frechet_distance(*(extractor.of(each) for each in paths))
    assert found == pytest.approx(float(theirs.compute()), rel=1e-3, abs=1e-3)


def test_files_that_hold_another_model_are_refused(tmp_path, folders):
    torch.save({"a": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match="Inception of FID"):
        load_features("fid", tmp_path / "x.pth")
    with pytest.raises(ValueError, match="one of fid"):
        load_features("best", tmp_path)
    save_clip(tmp_path)
    with pytest.raises(ValueError, match="must hold a DINOv2"):
        load_features("fdd", tmp_path)


def test_a_file_that_runs_code_when_read_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    torch.save({"x": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match=r"evil.pth must hold tensors and nothing else, got: Weights only"):
        load_inception(tmp_path / "evil.pth")
    assert not (tmp_path / "written").exists()
    for odd in ([torch.ones(1)], {1: torch.ones(1)}, {"state_dict": 3}):
        torch.save(odd, tmp_path / "odd.pth")
        with pytest.raises(ValueError, match=r"odd.pth must hold tensors by name"):
            read_tensors(tmp_path / "odd.pth")


def test_a_torch_that_can_be_made_to_run_code_reads_published_files_only(tmp_path, monkeypatch):
    path = tmp_path / "predictor.pth"
    torch.save({"weight": torch.ones(2)}, path)
    for old in ("2.5.1+cpu", "2.9.1+cu128", "2.10.0a0+git1234567"):
        monkeypatch.setattr(torch, "__version__", TorchVersion(old))
        with pytest.raises(
            ValueError, match=r"predictor.pth must be read with torch 2\.10 or newer, got 2\."
        ):
            read_tensors(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    part = KnownFile("a.pth", "a/a.pth", path.stat().st_size, sha256)
    monkeypatch.setattr(pretrained, "KNOWN_SCORERS", [KnownScorer("a", None, "", "", (part,))])
    assert read_tensors(path)["weight"].tolist() == [1, 1]
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    with pytest.raises(ValueError, match="must be read with torch"):
        read_tensors(path)
    save_file({"weight": torch.ones(2)}, tmp_path / "predictor.safetensors")
    assert read_tensors(tmp_path / "predictor.safetensors")["weight"].tolist() == [1, 1]


def test_pictures_of_many_sizes_are_batched_by_size(tmp_path):
    save_pictures(tmp_path / "a", 3, size=(8, 10))
    save_pictures(tmp_path / "b", 2, size=(10, 8))
    paths = find_pictures(tmp_path)
    made = list(batches(paths, 2))
    assert sorted(place for places, _ in made for place in places) == [0, 1, 2, 3, 4]
    for places, images in made:
        for place, image in zip(places, images, strict=True):
            wanted = torch.from_numpy(np.array(Image.open(paths[place]))).permute(2, 0, 1) / 255
            torch.testing.assert_close(image, wanted)


def test_pictures_of_very_many_sizes_do_not_all_wait_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "MOST_WAITING", 300)
    for side, count in ((8, 3), (9, 1), (10, 1), (20, 1)):
        save_pictures(tmp_path / f"{side:02d}", count, size=(side, side))
    opened = []
    monkeypatch.setattr(features, "open_picture", lambda path: (opened.append(path), open_picture(path))[1])
    seen = [
        (places, tuple(images.shape[2:]), len(opened))
        for places, images in batches(find_pictures(tmp_path), 32)
    ]
    assert seen == [([0, 1, 2], (8, 8), 5), ([5], (20, 20), 6), ([3], (9, 9), 6), ([4], (10, 10), 6)]


def test_a_file_is_opened_by_what_it_holds_and_never_by_another_program(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    def never(*_, **__):
        raise AssertionError("Ghostscript was started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", never)
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png", "EPS")
    with pytest.raises(ValueError, match=r"x\.png must be a whole picture \(JPEG, "):
        open_picture(tmp_path / "x.png")


def test_a_picture_that_would_fill_the_memory_is_named(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    content = bytearray((tmp_path / "x.png").read_bytes())
    content[16:24] = (20_000).to_bytes(4, "big") * 2  # what it says of its size
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.png .*more than 89 million pixels"):
        open_picture(tmp_path / "x.png")


def test_sixteen_bits_of_grey_keep_their_brightness(tmp_path):
    Image.fromarray(np.full((8, 8), 20_000, dtype=np.uint16)).save(tmp_path / "x.png")
    assert open_picture(tmp_path / "x.png").getpixel((1, 1)) == (78, 78, 78)


def test_a_broken_picture_is_named(tmp_path):
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"x\.png must be a whole picture"):
        open_picture(tmp_path / "x.png")
    with pytest.raises(ValueError, match="holds none"):
        find_pictures(tmp_path / "nowhere")
