"""Pictures by an MMH-DiT whose text comes from several encoders, mixed as the options say, step by step.

Dimension key: b batch  m text tokens  d width  H W image, in pixels

Convention: the first encoder is the original one; every picture has a seed of its own. At w 0, and at w 1
with start 0, the pictures are bit for bit those of one encoder. Source: spec 3.6.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import torch
from torch import Tensor

from ..latents import latent_shape
from ..mmh_dit import flow
from ..mmh_dit.model import MMHDiT
from .mix import mix, shares, w_of_step
from .options import MixOptions

Encode = Callable[[Sequence[str]], flow.Text]


def runs(steps: int, options: MixOptions) -> Iterator[tuple[range, float, float]]:
    """Yields runs of steps with the w of the prompt and that of the negative one."""

    def ws(step: int) -> tuple[float, float]:
        return w_of_step(step, steps, options), w_of_step(step, steps, options, negative=True)

    for (w, negative_w), group in groupby(range(steps), ws):
        indices = list(group)
        yield range(indices[0], indices[-1] + 1), w, negative_w


@dataclass(frozen=True)
class MixedPainter:
    """`encoders` make the model's text of prompts, the original one first; `decode` pictures of latents."""

    model: MMHDiT
    encoders: Sequence[Encode]
    decode: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def pictures(
        self,
        prompt: str,
        seeds: Sequence[int],
        weights: Sequence[float],
        *,
        width: int,
        height: int,
        negative: str = "",
        mix_options: MixOptions | None = None,
        options: flow.SampleOptions | None = None,
        on_step: Callable[[flow.Progress], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Tensor:
        """Returns a picture (b, 3, H, W) in 0..1 for each seed; `weights` are those of the other encoders.

        An empty negative prompt is no text at all. Raises ValueError for sizes that are no multiples of 8,
        and for a denoise below 1, since there is no picture to paint over; Interrupted when `should_stop`
        returns True.
        """
        shape = latent_shape(width, height, channels=self.model.config.in_ch)
        mixing = mix_options or MixOptions()
        options = options or flow.SampleOptions()
        ts = flow.times(options.steps, options.shift, denoise=options.denoise)
        noise = flow.noise(shape, seeds).to(next(self.model.parameters()).device)
        x_t = flow.start(noise, t=float(ts[0]), sigma=options.icfm_sigma)
        known: dict[tuple[str, int], flow.Text] = {}
        for part, w, negative_w in runs(options.steps, mixing):
            say = partial(self._text, len(seeds), weights, mixing.weighting, known)
            uncond = say(negative, negative_w) if negative else flow.EMPTY
            velocity = flow.guided(self.model, say(prompt, w), uncond, scale=options.cfg)
            part_ts = ts[part.start : part.stop + 1]
            made = flow.steps(velocity, x_t, part_ts, sampler=options.sampler, should_stop=should_stop)
            for progress in made:
                x_t = progress.x_t
                if on_step:
                    on_step(progress._replace(step=part.start + progress.step, steps=options.steps))
        return self.decode(x_t)

    def _text(
        self,
        count: int,
        weights: Sequence[float],
        weighting: str,
        known: dict[tuple[str, int], flow.Text],
        text: str,
        w: float,
    ) -> flow.Text:
        """The mix of what the encoders that count make of a text; each is asked once."""
        used = [(i, share) for i, share in enumerate(shares(weights, w=w, weighting=weighting)) if share]
        for i, _ in used:
            if (text, i) not in known:
                known[text, i] = self.encoders[i]([text] * count)
        found = [known[text, i] for i, _ in used]
        return flow.Text(mix([each.tokens for each in found], [share for _, share in used]), found[0].mask)
