"""What a mix of text encoders is asked for, the same in every host.

Convention: w is 0 for the original encoder and 1 for the tuned one, or the mix of several; start and end are
shares of the steps, 0 the first and 1 behind the last. Source: spec 3.6, and TextCraftor's code, which lets
the original encoder lead the first 40 % of the steps.
"""

from dataclasses import dataclass

from ..options import option, validate

MOST_ENCODERS = 8  # in a mix
WEIGHT = {"low": -2.0, "high": 2.0, "step": 0.05}  # of one of them
WEIGHTINGS = ("normalize", "raw")
NEGATIVES = ("same", "original", "own")


@dataclass(frozen=True)
class MixOptions:
    """How far to go from the original encoder, in which steps, and for which of the two prompts."""

    w: float = option(
        1.0,
        "From the original encoder (0) to the tuned one or the mix (1); above 1 exaggerates.",
        low=0,
        high=2,
        step=0.05,
    )
    start: float = option(
        0.4,
        "Share of the steps that the original encoder leads alone, as TextCraftor was published; 0 mixes in"
        " all steps.",
        low=0,
        high=1,
        step=0.01,
    )
    end: float = option(
        1.0,
        "Share of the steps behind which the original encoder leads again.",
        low=0,
        high=1,
        step=0.01,
        advanced=True,
    )
    negative: str = option(
        "same",
        "What the negative prompt gets: same has the same w, original none of the mix, own its own w.",
        choices=NEGATIVES,
        advanced=True,
    )
    negative_w: float = option(
        1.0, "The w of the negative prompt where it has its own.", low=0, high=2, step=0.05, advanced=True
    )
    weighting: str = option(
        "normalize",
        "normalize lets the weights of several encoders count relative to their sum; raw takes them as they"
        " are.",
        choices=WEIGHTINGS,
        advanced=True,
    )

    def __post_init__(self):
        validate(self)
        if self.start > self.end:
            raise ValueError(
                f"start must not lie behind end, got {self.start:g} and {self.end:g}; exchange them"
            )

    def strength(self, *, negative: bool = False) -> float:
        """Returns the w of the prompt, or of the negative one."""
        if not negative or self.negative == "same":
            return self.w
        return self.negative_w if self.negative == "own" else 0.0
