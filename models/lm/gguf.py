"""Reads GGUF files: metadata, and tensors as torch tensors, straight from a memory map.

Convention: shapes are in torch order (the file's reversed), kinds are ggml's names (`F16`, `Q8_0`, …).
Numeric arrays in the metadata are NumPy arrays over the map, strings are str. Every count, length and offset
in a file is a claim: it is checked against the bytes that are there before anything is allocated.
Source: the GGUF specification of ggml-org/ggml, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .dequantize import BLOCKS, dequantize

_KINDS = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 12: "Q4_K", 13: "Q5_K"}
_KINDS |= {14: "Q6_K", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 30: "BF16"}
_NATIVE = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F64": torch.float64,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
}
_NUMBERS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    7: "?",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
_STRING, _ARRAY = 8, 9

_MAX_DIMENSIONS = 4
_MAX_NESTING = 4
_MAX_ALIGNMENT = 1 << 20
_LEAST_ENTRY = 8 + 4 + 1  # an empty key, a type and one byte
_LEAST_TENSOR = 8 + 4 + 4 + 8  # an empty name, no dimensions, a kind and an offset


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies: shape in torch order, kind, offset from the start of the file, size in bytes."""

    name: str
    shape: tuple[int, ...]
    kind: str
    offset: int
    nbytes: int


class GGUF:
    """An open GGUF file. Tensors of native kinds share its private memory map and keep it open."""

    def __init__(
        self, path: Path, data: mmap.mmap, *, metadata: Mapping[str, Any], tensors: Mapping[str, TensorInfo]
    ):
        self.path = path
        self.metadata = dict(metadata)
        self.tensors = dict(tensors)
        self._data = data

    def load(self, name: str) -> torch.Tensor:
        """The tensor of that name: F32, F16, BF16 and integers as in the file, quantised ones as float32.

        Writing to it does not reach the file. Raises ValueError for a name the file does not have.
        """
        info = self.info(name)
        if info.kind in _NATIVE:
            dtype = _NATIVE[info.kind]
            flat = torch.frombuffer(self._data, dtype=dtype, count=math.prod(info.shape), offset=info.offset)
            return flat.view(info.shape)
        return dequantize(self._raw(info), info.kind).view(info.shape)

    def info(self, name: str) -> TensorInfo:
        """Returns where a tensor lies. Raises ValueError for a name the file does not have."""
        if name not in self.tensors:
            raise ValueError(
                f"{self.path} must have a tensor {name!r}, it has {len(self.tensors)} others; "
                "this is another model's file, or a damaged one"
            )
        return self.tensors[name]

    def _raw(self, info: TensorInfo) -> torch.Tensor:
        return torch.frombuffer(self._data, dtype=torch.uint8, count=info.nbytes, offset=info.offset)


def read_gguf(path: Path) -> GGUF:
    """Opens a GGUF file: its metadata and the places of its tensors, none of which is read yet.

    Raises FileNotFoundError where there is none; ValueError, with the name of the file, where it is not GGUF,
    of a version other than 2 or 3, big-endian, cut short, or where it makes a claim that its size belies.
    """
    path = Path(path)
    with path.open("rb") as file:
        size = path.stat().st_size
        if size < 24:
            raise ValueError(f"{path} must be a GGUF file, it has only {size} bytes; download it again")
        # A private map: torch wants writable memory, and no write must reach the file.
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return _Reader(path, data).read()


class _Reader:
    """Reads the header from front to back; `at` is the next byte, and nothing behind `end` is touched."""

    def __init__(self, path: Path, data: mmap.mmap):
        self.path = path
        self.data = data
        self.at = 0
        self.end = len(data)

    def read(self) -> GGUF:
        tensor_count, entry_count = self._opening()
        metadata = self._metadata(entry_count)
        infos = self._collect("tensor", tensor_count, _LEAST_TENSOR, self._tensor)
        alignment = metadata.get("general.alignment", 32)
        if type(alignment) is not int or not 0 < alignment <= _MAX_ALIGNMENT or alignment & (alignment - 1):
            self._fail(f"general.alignment must be a power of two up to {_MAX_ALIGNMENT}, got {alignment!r}")
        start = -(-self.at // alignment) * alignment
        tensors = {name: self._place(name, facts, start) for name, facts in infos.items()}
        self._check_apart(tensors.values())
        return GGUF(self.path, self.data, metadata=metadata, tensors=tensors)

    def _check_apart(self, tensors: Iterable[TensorInfo]) -> None:
        """Tensors that share bytes would be many times larger in memory than the file is."""
        for first, second in pairwise(sorted(tensors, key=lambda tensor: tensor.offset)):
            if second.offset < first.offset + first.nbytes:
                self._fail(f"tensors must lie apart, {second.name[:80]!r} begins in {first.name[:80]!r}")

    def _fail(self, what: str):
        raise ValueError(f"{self.path}: {what}; the file is damaged or cut short, download it again")

    def _opening(self) -> tuple[int, int]:
        if self.data[:4] != b"GGUF":
            raise ValueError(
                f"{self.path} must be a GGUF file, which begins with GGUF; it begins with {self.data[:4]!r}. "
                "Choose a .gguf file"
            )
        self.at = 4
        version = self._number("<I")
        if version not in (2, 3):
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
            found = "big-endian" if swapped in (2, 3) else f"of version {version}"
            raise ValueError(
                f"{self.path} must be a little-endian GGUF file of version 2 or 3, it is {found}; "
                "convert it again with a current converter"
            )
        return self._number("<Q"), self._number("<Q")

    def _metadata(self, count: int) -> dict[str, Any]:
        return self._collect("metadata entry", count, _LEAST_ENTRY, self._value)

    def _collect(self, what: str, count: int, least: int, read: Callable[[], Any]) -> dict[str, Any]:
        """`count` named things, each of at least that many bytes, under names that differ."""
        self._room(count * least, f"{count} of kind {what}")
        found: dict[str, Any] = {}
        for _ in range(count):
            name = self._string()
            if name in found:
                self._fail(f"every {what} must have a name of its own, {name[:80]!r} comes twice")
            found[name] = read()
        return found

    def _room(self, size: int, what: str) -> None:
        left = self.end - self.at
        if size > left:
            self._fail(f"{what} need at least {size} bytes at byte {self.at}, {left} are left")

    def _number(self, form: str) -> Any:
        size = struct.calcsize(form)
        self._room(size, "a number")
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += size
        return value

    def _string(self) -> str:
        length = self._number("<Q")
        self._room(length, "the characters of a string")
        text = self.data[self.at : self.at + length]
        self.at += length
        return text.decode("utf-8", errors="replace")

    def _value(self) -> Any:
        return self._typed(self._number("<I"), 0)

    def _typed(self, kind: int, depth: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array(depth + 1)
        if kind not in _NUMBERS:
            self._fail(f"a metadata type must be from 0 to 12, got {kind} at byte {self.at - 4}")
        return self._numbers(kind, 1)[0].item()

    def _numbers(self, kind: int, count: int) -> np.ndarray:
        dtype = np.dtype(_NUMBERS[kind])
        self._room(count * dtype.itemsize, f"{count} numbers")
        found = np.frombuffer(self.data, dtype=dtype, count=count, offset=self.at)
        self.at += count * dtype.itemsize
        return found

    def _array(self, depth: int) -> Any:
        if depth > _MAX_NESTING:
            self._fail(f"arrays must not be nested deeper than {_MAX_NESTING}")
        kind, count = self._number("<I"), self._number("<Q")
        if kind in _NUMBERS:
            return self._numbers(kind, count)
        self._room(count * 8, f"{count} array elements")
        if kind == _STRING:
            return self._strings(count)
        return [self._typed(kind, depth) for _ in range(count)]

    def _strings(self, count: int) -> list[str]:
        """A list of strings; the loop every vocabulary goes through, hence written out."""
        data, at, end = self.data, self.at, self.end
        unpack = struct.Struct("<Q").unpack_from
        out = []
        for _ in range(count):
            start = at + 8
            at = start + unpack(data, at)[0] if start <= end else end + 1
            if at > end:
                self._fail(f"string {len(out)} of {count} ends behind the end of the file")
            out.append(data[start:at].decode("utf-8", errors="replace"))
        self.at = at
        return out

    def _tensor(self) -> tuple[tuple[int, ...], int, int]:
        """Shape in torch order, the kind's number, and the offset behind the header."""
        dimensions = self._number("<I")
        if dimensions > _MAX_DIMENSIONS:
            self._fail(f"a tensor must have at most {_MAX_DIMENSIONS} dimensions, got {dimensions}")
        shape = tuple(self._number("<Q") for _ in range(dimensions))
        return shape[::-1], self._number("<I"), self._number("<Q")

    def _place(self, name: str, facts: tuple[tuple[int, ...], int, int], start: int) -> TensorInfo:
        shape, number, offset = facts
        if number not in _KINDS:
            raise ValueError(
                f"{self.path}: tensor {name[:80]!r} must be of a kind among {', '.join(_KINDS.values())}, "
                f"got number {number}; use a file of the kind F16 or Q8_0"
            )
        kind = _KINDS[number]
        count = math.prod(shape)
        if not count:
            self._fail(f"tensor {name[:80]!r} must hold numbers, its shape is {list(shape)}")
        per_block, block_bytes = BLOCKS.get(kind) or (1, _NATIVE[kind].itemsize)
        if count % per_block or (shape and shape[-1] % per_block):
            self._fail(
                f"rows of {kind} tensor {name[:80]!r} must be multiples of {per_block}, got {list(shape)}"
            )
        size = count // per_block * block_bytes
        if start + offset + size > self.end:
            self._fail(
                f"tensor {name[:80]!r} {list(shape)} {kind} needs {size} bytes from {start + offset} on, "
                f"the file has {self.end}"
            )
        return TensorInfo(name, shape, kind, start + offset, size)
