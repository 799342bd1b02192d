"""Tuned text encoders as files: which there are, and what of them is in memory for the job at hand.

Convention: a name that comes from outside only picks from what the folders hold: the settings' own, the
host's for text encoders, and `models/text_encoder`.
"""

import gc
from collections.abc import Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from modules import paths, shared

from ...models.hub import bundled_folder
from ...models.textcraftor.files import EncoderFile, check_fit, read_encoders, tuned_encoders
from ...models.textcraftor.mix import shares
from .keeper import setting
from .mix_engines import Engine, Tensors
from .mix_job import Mixture
from .mix_values import MixValues


def folders() -> tuple[Path, ...]:
    """Returns every folder in which text encoders are looked for, in order."""
    own = str(setting("encoders", "") or "").strip()
    given = getattr(shared.cmd_opts, "text_encoder_dir", None)  # Forge has one, Neo a list
    more = getattr(shared.cmd_opts, "text_encoder_dirs", None) or ()
    found = [own, given, *more, Path(paths.models_path) / "text_encoder"]
    return tuple(dict.fromkeys(Path(folder) for folder in found if folder))


def listed() -> dict[str, Path]:
    """Returns the files by their names, but for the bundled ones: no WebUI has a model for those."""
    found = tuned_encoders(folders())
    return {name: path for name, path in found.items() if bundled_folder() not in path.parents}


def names() -> list[str]:
    """Returns the names to choose from."""
    return list(listed())


def find(name: str) -> Path:
    """Returns the file of that name; raises ValueError, with the folders, where there is none."""
    there = listed()
    if name not in there:
        where = ", ".join(map(str, folders()))
        raise ValueError(f"no text encoder is called {name!r}; put its file into one of: {where}")
    return there[name]


class Tuned:
    """A file in a mix; `key` is another one as soon as the file is."""

    def __init__(self, name: str):
        self.name, self.path = name, find(name)
        stat = self.path.stat()
        self.key = (str(self.path), stat.st_mtime_ns, stat.st_size)
        self.parts: tuple[EncoderFile, ...] | None = None
        self.checked: WeakKeyDictionary[torch.nn.Module, Tensors | None] = WeakKeyDictionary()

    def fitting(self, engines: Sequence[Engine]) -> list[Tensors | None]:
        """Returns the file's tensors for each engine of a model, None where it has none that fit.

        Raises ValueError, with what the file is, where none fits any.
        """
        if self.parts is None:
            with torch.inference_mode(False):  # what is read inside a generation would be of no use outside
                self.parts = read_encoders(self.path)
        errors: list[str] = []
        for engine in engines:
            if self.checked.get(engine.module) is None:
                self.checked[engine.module] = self._fit(engine, errors)
        found = [self.checked[engine.module] for engine in engines]
        if not any(found):
            raise ValueError(errors[0] if errors else f"{self.name}: this model has no CLIP to mix it with")
        return found

    def _fit(self, engine: Engine, errors: list[str]) -> Tensors | None:
        for part in self.parts or ():
            try:
                return check_fit(part, engine.shapes, host="this model's text encoder")
            except ValueError as error:
                errors.append(str(error))
        return None


class Shelf:
    """The files of the last mix, kept in main memory between jobs."""

    def __init__(self):
        self.held: dict[tuple, Tuned] = {}

    def mixture(self, values: MixValues) -> Mixture:
        """Returns the mix that a panel asks for; raises ValueError for an encoder that is not here."""
        used = [Tuned(name) for name, _ in values.slots.chosen]
        used = [self.held.get(one.key, one) for one in used]
        self.held = {one.key: one for one in used}
        weights = tuple(weight for _, weight in values.slots.chosen)
        shares(weights, w=values.options.w, weighting=values.options.weighting)  # says what cannot be
        return Mixture(tuple(used), weights, values.options)

    def rest(self) -> None:
        """Frees the files where they are not to be kept."""
        if self.held and not setting("keep", True):
            self.held = {}
            gc.collect()
