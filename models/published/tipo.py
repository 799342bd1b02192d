"""The published TIPO models: where each lives, which files it has and what it may be asked.

Convention: that of `known`.
Sources: names and GGUF names, `tipo_model_list` of tipo-kgen 0.3.1; architectures, contexts, tasks and rating
words, science.md 1.4 and 1.11; files and checksums, the pages named beside each entry.
"""

import re
from dataclasses import dataclass

from .known import Known, KnownFile

TASKS = (
    "tag_to_long",
    "long_to_tag",
    "short_to_tag",
    "short_to_long",
    "short_to_tag_to_long",
    "short_to_long_to_tag",
    "tag_to_short_to_long",
)

APACHE = "Apache-2.0"
KOHAKU = "Kohaku-1.0"


@dataclass(frozen=True)
class KnownModel(Known):
    """One published model, its rules and its files.

    `context` is in tokens, None where the model's own config says it. `tasks` are those it was trained on; no
    task at all ("none") is always possible. `ratings` pairs a rating word with the one this model knows.
    `world` says what a model knows that knows little.
    """

    architecture: str
    parameters: int | None
    context: int | None
    licence: str
    tasks: tuple[str, ...] = TASKS
    ratings: tuple[tuple[str, str], ...] = ()
    world: str = ""
    safetensors: tuple[KnownFile, ...] = ()
    gguf: tuple[KnownFile, ...] = ()

    @property
    def standard(self) -> tuple[KnownFile, ...]:
        """Its first GGUF file."""
        return self.files("gguf")

    @property
    def local_names(self) -> frozenset[str]:
        """Lower-case names under which this very model is stored, KGen's among them."""
        files = {name for file in self.gguf for name in (file.name, file.local)}
        return frozenset(name.lower() for name in {self.name, f"{self.name}.gguf"} | files)

    def rating(self, word: str) -> str:
        """Returns this model's own rating word for `word`, such as "nsfw, explicit" for "explicit"."""
        return dict(self.ratings).get(word.strip().lower(), word)

    def files(self, format: str) -> tuple[KnownFile, ...]:
        """Returns what a download of "gguf" (its first file) or "safetensors" (the whole folder) consists of.

        Raises ValueError for another format and for one this model is not published in.
        """
        if format not in ("gguf", "safetensors"):
            raise ValueError(f"format must be gguf or safetensors, got {format!r}")
        found = self.gguf[:1] if format == "gguf" else self.safetensors
        if not found:
            raise ValueError(f"{self.name} is not published as {format}")
        return found


_File = tuple[str, int | None, str | None]  # path, size, sha256

# The LLaMA-2 SentencePiece model, unchanged: the pages of TIPO-100M, -200M-ft and -500M-ft state this sum.
_TOKENIZER = "9e556afd44213b6bd1be2b850ebbbd98f5481437a8021afaf58ee7fb1818d347"

# The v2 and v2.1 training code never draws short_to_long (science.md 1.4).
_V2_TASKS = tuple(task for task in TASKS if task != "short_to_long")

# KohakUwULLM's `vault.py` handed Danbooru's own words to v2.
_V2_RATINGS = (("safe", "general"), ("sfw", "general"), ("nsfw", "questionable"))

# The card of v2.1: Danbooru's words become TIPO's before training.
_V2_1_RATINGS = (
    ("general", "safe"),
    ("sfw", "safe"),
    ("questionable", "nsfw"),
    ("explicit", "nsfw, explicit"),
)


def _published(name: str, small: tuple[_File, ...], weights: _File, *ggufs: _File, **facts) -> KnownModel:
    """An entry with its files where we and KGen store them: KGen names a GGUF `<repo tail>_<gguf name>`.

    The weights come last, so that a folder which has them is complete.
    """
    return KnownModel(
        name=name,
        repo=f"KBlueLeaf/{name}",
        safetensors=tuple(KnownFile(f[0], f"{name}/{f[0]}", *f[1:]) for f in (*small, weights)),
        gguf=tuple(KnownFile(f[0], f"{name}_{f[0].rpartition('/')[2]}", *f[1:]) for f in ggufs),
        **facts,
    )


def _v1(name: str, size: int, sha256: str | None, *ggufs: _File, tokenizer: str | None = None, **facts):
    """A LLaMA entry; the files are those of any v1 page's listing that are needed to run."""
    small = (
        ("config.json", 741, None),
        ("added_tokens.json", 372, None),
        ("special_tokens_map.json", 892, None),
        ("tokenizer_config.json", 3_690, None),
        ("tokenizer.model", 500_000, tokenizer),
    )
    weights = ("model.safetensors", size, sha256)
    return _published(name, small, weights, *ggufs, architecture="llama", context=1024, **facts)


def _v2(name: str, size: int, *ggufs: _File, **facts):
    """A KohakUwU entry; the files are those of v2.1 at f5a3185 that a program which pins it loads."""
    small = tuple((path, None, None) for path in ("config.json", "tokenizer_config.json", "tokenizer.json"))
    weights = ("model.safetensors", size, None)
    return _published(
        name, small, weights, *ggufs, architecture="kohaku", licence=KOHAKU, tasks=_V2_TASKS, **facts
    )


KNOWN: tuple[KnownModel, ...] = (
    # Made by this repository and bundled with it.
    KnownModel("tipo-tiny", None, "llama", None, None, APACHE, world="one painted little world"),
    # Blob page of the weights on main (cc51920). Parameters: a quarter of its bytes, being fp32.
    _v1(
        "TIPO-100M",
        402_000_000,
        "c948acf9bbf98bac19bc02d50d741cbc2829c410b1e1f8c31be474e66537e6e2",
        ("TIPO-100M-F16.gguf", 202_000_000, None),
        tokenizer=_TOKENIZER,
        parameters=100_500_000,
        licence=APACHE,
    ),
    # Blob pages at 20b7dff (uploaded in 5300b97) and on main (ac6a884); licence as on the page.
    _v1(
        "TIPO-200M",
        810_000_000,
        "42ab24b2fdcf0284cabb0d8565e53c4c9a205a4240356fa922ad4086fbde3f81",
        (
            "TIPO-200M-40Btok-F16.gguf",
            405_913_792,
            "1f57744c809fb7bdba40e090753b719db44ac84487417d3eb693cba1faed61b8",
        ),
        (
            "TIPO-200M-F16.gguf",
            406_000_000,
            "13b000c51a1dffc3942d6a094467f70fc642ddd693e61650281d2e26c50c1173",
        ),
        parameters=202_557_696,
        licence=APACHE,
    ),
    # Commit 6bc4df8 of 2024-10-06, the last that changed either file.
    _v1(
        "TIPO-200M-ft",
        810_251_168,
        "bbf3042dbc3b9078a9615388f21495ad59863f340e306970b387e55684a0b4b5",
        (
            "TIPO-200M-ft-F16.gguf",
            405_913_824,
            "480ee42a01c4fd42e1e343ceb89685a3a943e8637ffbeba85f53087109ca3ec8",
        ),
        tokenizer=_TOKENIZER,
        parameters=202_557_696,
        licence=KOHAKU,
    ),
    # Listing at 1ff5c80; no page with a checksum was found.
    _v1(
        "TIPO-200M-ft2",
        810_000_000,
        None,
        ("TIPO-200M-ft2-F16.gguf", 406_000_000, None),
        parameters=202_557_696,
        licence=KOHAKU,
    ),
    # Blob pages at edf23a3 and fc01db8.
    _v1(
        "TIPO-500M",
        2_030_000_000,
        "cfa6063be163426a0a15a0b183631855f97df30169703ae05349c8c63a587c1f",
        (
            "TIPO-500M_epoch5-F16.gguf",
            1_020_000_000,
            "9c711f55fa47e59523e073936b3a81876403d0f227b345f15cf7aabe31dd0614",
        ),
        parameters=507_989_760,
        licence=KOHAKU,
    ),
    # Uploaded in 6a48c03; no listing was found, the sizes are those of TIPO-500M, whose shape it shares.
    _v1(
        "TIPO-500M-ft",
        2_030_000_000,
        None,
        ("TIPO-500M-ft-F16.gguf", 1_020_000_000, None),
        tokenizer=_TOKENIZER,
        parameters=507_989_760,
        licence=KOHAKU,
    ),
    # Parameters as a copy of its page counts them, sizes two bytes each; its files are taken to be v2.1's.
    _v2(
        "TIPOv2-1B-A200M",
        2_010_000_000,
        ("TIPOv2-1B-A200M-f16.gguf", 2_010_000_000, None),
        parameters=1_006_513_856,
        context=2048,
        ratings=_V2_RATINGS,
    ),
    # Size and sum of the Q8_0 file as two programs that pin f5a3185 state them.
    _v2(
        "TIPO-v2.1-1B-A200M",
        1_980_000_000,
        ("TIPO-v2.1-1B-A200M-f16.gguf", 1_980_000_000, None),
        (
            "gguf/TIPO-v2.1-1B-A200M-Q8_0.gguf",
            1_072_689_600,
            "0847e9e2e667a009bc82ecf534b628425d515b0f74fb5c1dc0705568906c4773",
        ),
        parameters=990_785_216,
        context=4096,
        ratings=_V2_1_RATINGS,
    ),
)


def known_model(name: str) -> KnownModel | None:
    """Returns the model whose name or repository is `name`, in any case; None if there is none."""
    wanted = name.strip().lower()
    return next((k for k in KNOWN if wanted in (k.name.lower(), (k.repo or k.name).lower())), None)


def identify(name: str) -> KnownModel | None:
    """Returns the model that a file or folder name speaks of, so that its rules apply; None if none does.

    It goes by the name alone: other people's quantisations and fine-tunes of a model follow its rules too.
    """
    found = [k for k in KNOWN if re.search(rf"(?<![a-z0-9]){re.escape(k.name)}(?![a-z0-9])", name, re.I)]
    return max(found, key=lambda k: len(k.name), default=None)
