"""Anti-aliased shapes on a picture: signed distances with smooth edges, blended inside bounding boxes.

Convention: x and y are pixels from the top left corner, pixel centres lie at halves; `u` is the length of
"one" for everything with a size of its own, so shapes keep their proportions on every canvas. Colours are
float32 (3,) in 0..1; a pair of colours is a gradient from the lit upper left to the lower right.
Source: Inigo Quilez, 2D distance functions.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

Array = np.ndarray
Color = Array | tuple[Array, Array]
LONGEST = 1.35  # `u` is at most so many times the shorter side


@cache
def rgb(text: str) -> Array:
    """Returns the colour of six hexadecimal digits, read-only."""
    color = np.array([int(text[i : i + 2], 16) / 255 for i in (0, 2, 4)], dtype=np.float32)
    color.flags.writeable = False
    return color


def mix(a: Array, b: Array, share: float) -> Array:
    """Returns the colour that lies `share` of the way from a to b."""
    return a + (b - a) * np.float32(share)


def clip(x: Array) -> Array:
    """Returns x held to 0..1; several times faster than `np.clip` on the small boxes of this file."""
    return np.minimum(np.maximum(x, np.float32(0)), np.float32(1))


def smooth(x: Array, low: float, high: float) -> Array:
    """Returns 0 below `low`, 1 above `high`, and a smooth step between."""
    t = clip((x - low) / (high - low))
    return t * t * (3 - 2 * t)


@dataclass(frozen=True)
class Look:
    """How a shape is filled: opacity, softness of its edge in pixels, colour of its outline."""

    alpha: float = 1.0
    soft: float = 1.0
    edge: Array | None = None


PLAIN = Look()


class Canvas:
    """A picture being painted, float32 (h, w, 3)."""

    def __init__(self, width: int, height: int):
        self.width, self.height = width, height
        self.u = min((width * height) ** 0.5, LONGEST * min(width, height))
        self.pen = max(self.u * 0.007, 0.6)
        self.pixels = np.zeros((height, width, 3), dtype=np.float32)
        self.x = (np.arange(width, dtype=np.float32) + 0.5)[None, :]
        self.y = (np.arange(height, dtype=np.float32) + 0.5)[:, None]

    def window(self, x0: float, y0: float, x1: float, y1: float) -> tuple[slice, slice] | None:
        """Returns rows and columns that hold the box, or None when it lies outside."""
        pad = 2 + self.pen
        left, right = max(int(x0 - pad), 0), min(int(x1 + pad) + 1, self.width)
        top, bottom = max(int(y0 - pad), 0), min(int(y1 + pad) + 1, self.height)
        return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None

    def cover(self, box: tuple[slice, slice], cover: Array, color: Array) -> None:
        """Blends a colour over the box where `cover` (h, w) says."""
        part = self.pixels[box]
        part += cover[..., None] * (color - part)

    def fill(self, box: tuple[slice, slice], distance: Array, color: Color, look: Look = PLAIN) -> None:
        """Fills where the distance in pixels is below zero."""
        if look.edge is not None:
            self.cover(box, clip(np.float32(0.5 + self.pen) - distance) * np.float32(look.alpha), look.edge)
        cover = clip(np.float32(0.5) - distance / np.float32(look.soft)) * np.float32(look.alpha)
        self.cover(box, cover, self._shaded(box, color))

    def _shaded(self, box: tuple[slice, slice], color: Color) -> Array:
        if not isinstance(color, tuple):
            return color
        rows, columns = box
        high, wide = rows.stop - rows.start, columns.stop - columns.start
        down = np.arange(high, dtype=np.float32)[:, None] * np.float32(0.7 / max(high - 1, 1)) - np.float32(
            0.2
        )
        right = np.arange(wide, dtype=np.float32)[None, :] * np.float32(0.7 / max(wide - 1, 1))
        share = clip(down + right)[..., None]
        return color[0] + (color[1] - color[0]) * share

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, color: Color, look: Look = PLAIN, *, turn: float = 0.0
    ) -> None:
        """Fills an ellipse, turned by `turn` radians."""
        reach = (rx, ry) if turn == 0 else (max(rx, ry),) * 2
        grow = look.soft
        box = self.window(x - reach[0] - grow, y - reach[1] - grow, x + reach[0] + grow, y + reach[1] + grow)
        if box is None:
            return
        dx, dy = self.x[:, box[1]] - np.float32(x), self.y[box[0]] - np.float32(y)
        if turn:
            c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
            dx, dy = c * dx + s * dy, c * dy - s * dx
        far = np.sqrt((dx / np.float32(rx)) ** 2 + (dy / np.float32(ry)) ** 2)
        slope = np.sqrt((dx / np.float32(rx * rx)) ** 2 + (dy / np.float32(ry * ry)) ** 2) + 1e-6
        self.fill(box, far * (far - 1) / slope, color, look)

    def line(
        self, a: Sequence[float], b: Sequence[float], r: float, color: Color, look: Look = PLAIN, *, end=None
    ) -> None:
        """Draws a round-ended stroke of half-width `r`, or `end` at b."""
        end = r if end is None else end
        wide = max(r, end)
        box = self.window(
            min(a[0], b[0]) - wide, min(a[1], b[1]) - wide, max(a[0], b[0]) + wide, max(a[1], b[1]) + wide
        )
        if box is None:
            return
        px, py = self.x[:, box[1]] - np.float32(a[0]), self.y[box[0]] - np.float32(a[1])
        bx, by = np.float32(b[0] - a[0]), np.float32(b[1] - a[1])
        t = clip((px * bx + py * by) / (bx * bx + by * by + np.float32(1e-6)))
        d = np.sqrt((px - bx * t) ** 2 + (py - by * t) ** 2) - (np.float32(r) + np.float32(end - r) * t)
        self.fill(box, d, color, look)

    def polyline(self, points: Sequence[Sequence[float]], r: float, color: Color, look: Look = PLAIN) -> None:
        """Draws strokes from point to point."""
        for a, b in itertools.pairwise(points):
            self.line(a, b, r, color, look)

    def polygon(self, points: Sequence[Sequence[float]], color: Color, look: Look = PLAIN) -> None:
        """Fills a convex polygon, given in either direction."""
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        box = self.window(min(xs), min(ys), max(xs), max(ys))
        if box is None:
            return
        turns = sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(points)))
        sign = 1.0 if turns > 0 else -1.0
        px, py = self.x[:, box[1]], self.y[box[0]]
        distance = None
        for i in range(len(points)):
            ex, ey = xs[i] - xs[i - 1], ys[i] - ys[i - 1]
            size = sign / ((ex * ex + ey * ey) ** 0.5 + 1e-6)
            side = (px - np.float32(xs[i])) * np.float32(ey * size) - (py - np.float32(ys[i])) * np.float32(
                ex * size
            )
            distance = side if distance is None else np.maximum(distance, side)
        self.fill(box, distance, color, look)

    def rect(
        self, x0: float, y0: float, x1: float, y1: float, color: Color, look: Look = PLAIN, *, r: float = 0.0
    ) -> None:
        """Fills an upright rectangle, given by two opposite corners, its own corners of radius `r`."""
        box = self.window(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        if box is None:
            return
        dx = np.abs(self.x[:, box[1]] - np.float32((x0 + x1) / 2)) - np.float32(abs(x1 - x0) / 2 - r)
        dy = np.abs(self.y[box[0]] - np.float32((y0 + y1) / 2)) - np.float32(abs(y1 - y0) / 2 - r)
        far = np.sqrt(np.maximum(dx, 0) ** 2 + np.maximum(dy, 0) ** 2) + np.minimum(np.maximum(dx, dy), 0)
        self.fill(box, far - np.float32(r), color, look)

    def ring(
        self,
        x: float,
        y: float,
        r: float,
        wide: float,
        color: Array,
        look: Look = PLAIN,
        *,
        top: bool = False,
    ) -> None:
        """Draws a circle of half-width `wide`; with `top` only its upper half."""
        reach = r + wide
        box = self.window(x - reach, y - reach, x + reach, y if top else y + reach)
        if box is None:
            return
        dx, dy = self.x[:, box[1]] - np.float32(x), self.y[box[0]] - np.float32(y)
        d = np.abs(np.sqrt(dx * dx + dy * dy) - np.float32(r)) - np.float32(wide)
        self.fill(box, np.maximum(d, dy) if top else d, color, look)

    def under(
        self, top: Array, color: Color, look: Look = PLAIN, *, bottom: float | None = None
    ) -> tuple[slice, slice] | None:
        """Fills everything below the curve `top` (w,), down to the row `bottom`; returns the rows touched."""
        bottom = self.height if bottom is None else bottom
        box = self.window(0, float(top.min()), self.width, bottom)
        if box is None or bottom <= float(top.min()):
            return None
        distance = np.maximum(
            top[None, :].astype(np.float32) - self.y[box[0]], self.y[box[0]] - np.float32(bottom)
        )
        self.fill(box, distance, color, look)
        return box

    def glow(self, x: float, y: float, r: float, color: Array, strength: float = 1.0) -> None:
        """Lightens softly around a point, to nothing at distance `r`."""
        box = self.window(x - r, y - r, x + r, y + r)
        if box is None:
            return
        dx, dy = self.x[:, box[1]] - np.float32(x), self.y[box[0]] - np.float32(y)
        near = np.clip(1 - np.sqrt(dx * dx + dy * dy) / np.float32(r), 0, 1)
        part = self.pixels[box]
        part += (1 - part) * color * (near * near * np.float32(strength))[..., None]

    def scatter(
        self,
        box: tuple[slice, slice],
        cell: float,
        rng: np.random.Generator,
        *,
        share: float = 1.0,
        spread: float = 0.3,
    ) -> tuple[Array, Array, Array, Array]:
        """Returns one random dot for each square cell, seen from every pixel of the box.

        The four arrays (h, w) are the pixel's offset from its cell's dot in cells (dx, dy), whether the dot
        is there (0 or 1, with chance `share`) and a random number of the dot in 0..1. Dots lie within
        `spread` of a cell around its centre, so shapes of a radius below (1 - spread) / 2 are never cut.
        """
        x = (self.x[:, box[1]] - np.float32(box[1].start)) / np.float32(cell)
        y = (self.y[box[0]] - np.float32(box[0].start)) / np.float32(cell)
        column, row = x.astype(np.int32), y.astype(np.int32)
        size = (int(row[-1, 0]) + 1, int(column[0, -1]) + 1)
        jitter = rng.random((4, *size), dtype=np.float32)
        at = (row, column)
        dx = x - column - (0.5 + spread * (jitter[0] - 0.5))[at]
        dy = y - row - (0.5 + spread * (jitter[1] - 0.5))[at]
        return dx, dy, (jitter[2] < share).astype(np.float32)[at], jitter[3][at]


def waves(count: int, rng: np.random.Generator, octaves: Sequence[tuple[float, float]]) -> Array:
    """Returns a smooth random curve (count,): for each octave (waves across, height) a sum of two sines."""
    t = np.linspace(0, 2 * np.pi, count, dtype=np.float32)
    curve = np.zeros(count, dtype=np.float32)
    for across, height in octaves:
        phase, bend = rng.uniform(0, 2 * np.pi, 2)
        curve += np.float32(height) * (
            0.6 * np.sin(t * np.float32(across) + np.float32(phase))
            + 0.4 * np.sin(t * np.float32(across * 1.7) + np.float32(bend))
        )
    return curve


def blur(pixels: Array, sigma: float) -> Array:
    """Returns the picture (h, w, c) blurred by a Gaussian of `sigma` pixels, its border repeated."""
    if sigma <= 0.05:
        return pixels
    radius = max(1, int(2.5 * sigma + 0.5))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    for axis in (0, 1):
        pad = [(0, 0)] * pixels.ndim
        pad[axis] = (radius, radius)
        wide = np.pad(pixels, pad, mode="edge")
        size = pixels.shape[axis]
        parts = (wide[i : i + size] if axis == 0 else wide[:, i : i + size] for i in range(2 * radius + 1))
        pixels = sum(tap * part for tap, part in zip(taps, parts, strict=True))
    return pixels
