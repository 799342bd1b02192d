"""The published models that score pictures or measure sets of them: where each lives and what it consists of.

Convention: that of `known`. A scorer is a folder of its own, `<name>/` below a folder of scorers, where
the loaders of `scorers` and `features` read it; weights come last, so that a folder which has them is whole.
Sources: the pages' lists of files and pointers, as of 2024. LAION's predictor and Inception's weights were
published on GitHub, and others' copies on the hub are named here: by their checksums they are the originals
(programs that pin the predictor state it; Inception's begins with the digits in the file's own name).
"""

from dataclasses import dataclass

from .known import Known, KnownFile

CLIP_L = "openai/clip-vit-large-patch14"
CLIP_H = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
SIGLIP = "google/siglip-so400m-patch14-384"
SEE_PAGE = "see page"
DISTANCE = "distance of sets"  # what models say that score no single picture

_CLIP_FILES = (
    ("config.json", 5_000),
    ("preprocessor_config.json", 316),
    ("special_tokens_map.json", 389),
    ("tokenizer_config.json", 905),
    ("merges.txt", 525_000),
    ("vocab.json", 862_000),
    ("tokenizer.json", 2_220_000),
)


@dataclass(frozen=True)
class ByHand:
    """A file that belongs to a scorer and is on no hub."""

    local: str
    name: str
    page: str


@dataclass(frozen=True)
class KnownScorer(Known):
    """One published model that sees pictures, and its files; `by_hand` is one that a person gets."""

    says: str
    licence: str
    parts: tuple[KnownFile, ...]
    by_hand: ByHand | None = None

    @property
    def standard(self) -> tuple[KnownFile, ...]:
        """All of its files."""
        return self.parts


def _of(name: str, repo: str, *files: tuple[str, int] | tuple[str, int, str]) -> tuple[KnownFile, ...]:
    """Files of a repository, in the folder of a scorer."""
    return tuple(KnownFile(f[0], f"{name}/{f[0].rpartition('/')[2]}", *f[1:], repo=repo) for f in files)


def _clip_l(name: str) -> tuple[KnownFile, ...]:
    weights = (
        "model.safetensors",
        1_710_540_580,
        "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
    )
    return _of(name, CLIP_L, *_CLIP_FILES, weights)


KNOWN_SCORERS: tuple[KnownScorer, ...] = (
    KnownScorer("clip", CLIP_L, "truth to the prompt", SEE_PAGE, _clip_l("clip")),
    # Its authors read words and pictures as CLIP ViT-H does, which it is tuned from.
    KnownScorer(
        "pick",
        "yuvalkirstain/PickScore_v1",
        "what people prefer",
        SEE_PAGE,
        (
            *_of("pick", CLIP_H, *_CLIP_FILES[1:]),
            *_of("pick", "yuvalkirstain/PickScore_v1", _CLIP_FILES[0], ("model.safetensors", 3_940_000_000)),
        ),
    ),
    KnownScorer(
        "hps",
        "xswu/HPSv2",
        "what people prefer",
        SEE_PAGE,
        (
            *_of("hps", CLIP_H, *_CLIP_FILES),
            *_of("hps", "xswu/HPSv2", ("HPS_v2.1_compressed.pt", 1_970_000_000)),
        ),
    ),
    KnownScorer(
        "aesthetic",
        "camenduru/improved-aesthetic-predictor",
        "how it pleases, v2",
        "Apache-2.0",
        (
            *_clip_l("aesthetic"),
            KnownFile(
                "sac+logos+ava1-l14-linearMSE.pth",
                "aesthetic/predictor.pth",
                3_714_759,
                "21dd590f3ccdc646f0d53120778b296013b096a035a2718c9cb0d511bff0f1e0",
            ),
        ),
    ),
    KnownScorer(
        "aesthetic-2.5",
        SIGLIP,
        "how it pleases, v2.5",
        "Apache-2.0",
        _of(
            "aesthetic-2.5",
            SIGLIP,
            ("config.json", 576),
            ("preprocessor_config.json", 368),
            ("model.safetensors", 3_510_000_000),
        ),
        ByHand(
            "aesthetic-2.5/predictor.pth",
            "models/aesthetic_predictor_v2_5.pth",
            "https://github.com/discus0434/aesthetic-predictor-v2-5",
        ),
    ),
    KnownScorer(
        "ai-corrupt",
        "deepghs/ai_image_corrupted",
        "whether it is whole",
        "OpenRAIL",
        _of(
            "ai-corrupt",
            "deepghs/ai_image_corrupted",
            ("caformer_s36_v0_focal/meta.json", 138),
            ("caformer_s36_v0_focal/model.onnx", 149_574_704),
        ),
    ),
    KnownScorer(
        "fdd",
        "facebook/dinov2-large",
        DISTANCE,
        "Apache-2.0",
        _of(
            "fdd",
            "facebook/dinov2-large",
            ("config.json", 549),
            (
                "model.safetensors",
                1_217_522_888,
                "399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23",
            ),
        ),
    ),
    KnownScorer(
        "fid",
        "RaphaelLiu/EvalCrafter-Models",
        DISTANCE,
        "Apache-2.0",
        _of(
            "fid",
            "RaphaelLiu/EvalCrafter-Models",
            (
                "pt_inception-2015-12-05-6726825d.pth",
                95_628_359,
                "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            ),
        ),
    ),
)

SCORERS = tuple(known.name for known in KNOWN_SCORERS if known.says != DISTANCE)


def known_scorer(name: str) -> KnownScorer | None:
    """Returns the scorer called `name`, in any case; None if there is none."""
    wanted = name.strip().lower()
    return next((known for known in KNOWN_SCORERS if known.name == wanted), None)
