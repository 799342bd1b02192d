"""Presample Encoder Mix: the script that mixes tuned text encoders into the conditioning of a job."""

from collections.abc import Sequence
from typing import Any

import modules.scripts as scripts

from . import mix_files, mix_job, mix_values
from .current import inside
from .job import tell
from .mix_axes import OVERRIDES

TITLE = "Presample Encoder Mix"


class PresampleEncoderMix(scripts.Script):
    """What the host calls."""

    files = mix_files.Shelf()

    def title(self) -> str:
        return TITLE

    def show(self, is_img2img: bool):
        return scripts.AlwaysVisible

    def ui(self, is_img2img: bool) -> list:
        from .mix_panel import MixPanel

        self.panel = MixPanel(self, "img2img" if is_img2img else "txt2img")
        self.infotext_fields = self.panel.infotext_fields()
        self.paste_field_names = []
        return self.panel.inputs()

    def process(self, p, *args) -> None:
        """Prepares a job; what goes wrong is told under the picture, which is made without a mix."""
        mix_job.remove(p)
        if not inside(p):
            for name in [name for name in p.extra_generation_params if mix_values.is_ours(name)]:
                del p.extra_generation_params[name]
        try:
            self.prepare(p, args)
        except (ValueError, TypeError, OSError) as error:
            tell(p, f"the encoders were not mixed: {error}")

    def prepare(self, p: Any, args: Sequence[Any]) -> None:
        said = mix_values.from_args(args, getattr(p, OVERRIDES, {}))
        if said.slots.enabled and said.slots.chosen:
            mix_job.install(p, self.files.mixture(said), mix_values.write(said))

    def postprocess(self, p, processed, *args) -> None:
        """Frees the files where they are not to be kept; the job has computed all its conditioning."""
        self.files.rest()
