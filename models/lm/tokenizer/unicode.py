r"""Unicode general categories as sets of code-point ranges, the same on every Python.

Convention: a range is an inclusive pair of code points. The data is this interpreter's `unicodedata`,
completed with the categories that Unicode 14, 15, 15.1 and 16 gave to code points an older interpreter has no
entry for, so that a prompt has the same tokens under Python 3.10 and 3.14.
Source: Unicode Character Database 16.0, DerivedAge and DerivedGeneralCategory; `\w` as Oniguruma defines it.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from itertools import groupby

Ranges = tuple[tuple[int, int], ...]

WHITE_SPACE = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
)
WHITE_SPACE += "\u2028\u2029\u202f\u205f\u3000"
LAST = 0x10FFFF

# What `\w` has beyond letters, marks, Nd, Nl and Pc: circled and squared letters.
_WORD_TOO = ((0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189))
# And what Oniguruma adds to it outside brackets: superscript digits and fractions of Latin-1.
WORD_LATIN = ((0xB2, 0xB3), (0xB9, 0xB9), (0xBC, 0xBE))

_SINCE_14 = {
    "Cf": "890-891 13439-1343f",
    "Ll": "1c8a 2c5f a7c1 a7cd a7d1 a7d3 a7d5 a7d7 a7d9 a7db 10597-105a1 105a3-105b1 105b3-105b9 "
    "105bb-105bc 10d70-10d85 1df00-1df09 1df0b-1df1e 1df25-1df2a",
    "Lm": "8c9 a7f2-a7f4 10780-10785 10787-107b0 107b2-107ba 10d4e 10d6f 16d40-16d42 16d6b-16d6c "
    "1aff0-1aff3 1aff5-1affb 1affd-1affe 1e030-1e06d 1e4eb",
    "Lo": "870-887 889-88e 8b5 8c8 c5d cdd 170d 171f 1b4c 9ffd-9fff 105c0-105f3 10d4a-10d4d 10d4f "
    "10ec2-10ec4 10f70-10f81 11071-11072 11075 1123f-11240 11380-11389 1138b 1138e 11390-113b5 113b7 "
    "113d1 113d3 11740-11746 11ab0-11abf 11bc0-11be0 11f02 11f04-11f10 11f12-11f33 12f90-12ff0 1342f "
    "13441-13446 13460-143fa 16100-1611d 16a70-16abe 16d43-16d6a 18cff 1b11f-1b122 1b132 1b155 1df0a "
    "1e290-1e2ad 1e4d0-1e4ea 1e5d0-1e5ed 1e5f0 1e7e0-1e7e6 1e7e8-1e7eb 1e7ed-1e7ee 1e7f0-1e7fe "
    "2a6de-2a6df 2b735-2b739 2ebf0-2ee5d 31350-323af",
    "Lu": "1c89 2c2f a7c0 a7cb-a7cc a7d0 a7d6 a7d8 a7da a7dc 10570-1057a 1057c-1058a 1058c-10592 "
    "10594-10595 10d50-10d65",
    "Mc": "cf3 1715 113b8-113ba 113c2 113c5 113c7-113ca 113cc-113cd 113cf 11f03 11f34-11f35 11f3e-11f3f "
    "11f41 1612a-1612c",
    "Mn": "897-89f 8ca-8d2 c3c ece 180f 1ac1-1ace 1dfa 10d69-10d6d 10efc-10eff 10f82-10f85 11070 "
    "11073-11074 110c2 11241 113bb-113c0 113ce 113d0 113d2 113e1-113e2 11f00-11f01 11f36-11f3a 11f40 "
    "11f42 11f5a 13440 13447-13455 1611e-16129 1612d-1612f 1cf00-1cf2d 1cf30-1cf46 1e08f 1e2ae "
    "1e4ec-1e4ef 1e5ee-1e5ef",
    "Nd": "10d40-10d49 116d0-116e3 11bf0-11bf9 11f50-11f59 16130-16139 16ac0-16ac9 16d70-16d79 1ccf0-1ccf9 "
    "1e4f0-1e4f9 1e5f1-1e5fa",
    "No": "1d2c0-1d2d3",
    "Pd": "2e5d 10d6e",
    "Pe": "2e56 2e58 2e5a 2e5c",
    "Po": "61d 1b4e-1b4f 1b7d-1b7f 2e53-2e54 10f86-10f89 113d4-113d5 113d7-113d8 116b9 11b00-11b09 11be1 "
    "11f43-11f4f 12ff1-12ff2 16d6d-16d6f 1e5ff",
    "Ps": "2e55 2e57 2e59 2e5b",
    "Sc": "20c0",
    "Sk": "888 fbc2",
    "Sm": "10d8e-10d8f",
    "So": "2427-2429 2ffc-2fff 31e4-31e5 31ef fd40-fd4f fdcf fdfe-fdff 1cc00-1ccef 1cd00-1ceb3 1cf50-1cfc3 "
    "1d1e9-1d1ea 1f6dc-1f6df 1f774-1f776 1f77b-1f77f 1f7d9 1f7f0 1f8b2-1f8bb 1f8c0-1f8c1 1f979 1f9cc "
    "1fa75-1fa77 1fa7b-1fa7c 1fa87-1fa89 1fa8f 1faa9-1faaf 1fab7-1fabf 1fac3-1fac6 1face-1facf "
    "1fad7-1fadc 1fadf-1fae9 1faf0-1faf8 1fbcb-1fbef",
}


@lru_cache(maxsize=1)
def _runs() -> tuple[tuple[int, int, str], ...]:
    """Every code point as (first, last, category), in order; about 30 ms, once per process."""
    # Planes 4 to 13 and most of 14 are unassigned; 15 and 16 are private use.
    blocks = (range(0x40000), range(0xE0000, 0xE0200))
    categories = [list(map(unicodedata.category, map(chr, block))) for block in blocks]
    for category, text in _SINCE_14.items():
        for first, last in _parse(text):
            for code in range(first, last + 1):
                if categories[0][code] == "Cn":
                    categories[0][code] = category
    runs = [(0x40000, 0xDFFFF, "Cn"), (0xE0200, 0xEFFFF, "Cn"), (0xF0000, LAST, "Co")]
    for block, names in zip(blocks, categories, strict=True):
        code = block.start
        for name, group in groupby(names):
            length = sum(1 for _ in group)
            runs.append((code, code + length - 1, name))
            code += length
    return tuple(sorted(runs))


def _parse(text: str) -> list[tuple[int, int]]:
    pairs = (item.partition("-") for item in text.split())
    return [(int(first, 16), int(last or first, 16)) for first, _, last in pairs]


@lru_cache(maxsize=64)
def category_ranges(name: str) -> Ranges:
    """The ranges of a general category (`L`, `Lu`, `N`, …); raises ValueError for an unknown one."""
    found = union((first, last) for first, last, category in _runs() if category.startswith(name))
    if not found or not name:
        raise ValueError(f"a \\p{{…}} class must be a general category such as L, Lu, N or P, got {name!r}")
    return found


@lru_cache(maxsize=1)
def word_ranges() -> Ranges:
    r"""The ranges of `\w` inside brackets; outside them Oniguruma adds `WORD_LATIN`."""
    names = ("L", "M", "Nd", "Nl", "Pc")
    return union((*_WORD_TOO, *(pair for name in names for pair in category_ranges(name))))


@lru_cache(maxsize=1)
def space_ranges() -> Ranges:
    r"""The ranges of `\s`: the White_Space property (Python's own `\s` also has U+001C to U+001F)."""
    return union((ord(char), ord(char)) for char in WHITE_SPACE)


def union(pairs) -> Ranges:
    """The given ranges sorted, with touching and overlapping ones joined."""
    out: list[list[int]] = []
    for first, last in sorted(pairs):
        if out and first <= out[-1][1] + 1:
            out[-1][1] = max(out[-1][1], last)
        else:
            out.append([first, last])
    return tuple((first, last) for first, last in out)


def complement(ranges: Ranges) -> Ranges:
    """Every code point outside the given ranges."""
    out, start = [], 0
    for first, last in union(ranges):
        if first > start:
            out.append((start, first - 1))
        start = last + 1
    if start <= LAST:
        out.append((start, LAST))
    return tuple(out)


def is_word(char: str) -> bool:
    r"""Whether one character is a letter, mark, digit, connector or joiner, as in Rust's `\w`."""
    code = ord(char)
    return char in "\u200c\u200d" or any(first <= code <= last for first, last in word_ranges())


def is_space(char: str) -> bool:
    """Whether one character has the White_Space property."""
    return char in WHITE_SPACE
