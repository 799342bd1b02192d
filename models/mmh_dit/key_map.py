r"""Names of a checkpoint that is not ours, put into our names: a JSON file of rules.

    {"rules": [{"from": "layers\\.(\\d+)\\.to_out\\.weight", "to": "blocks.\\1.attn.out.weight"},
               {"from": "layers\\.(\\d+)\\.q\\.weight", "to": "blocks.\\1.attn.qkv.weight", "part": [0, 3]},
               {"from": "layers\\.(\\d+)\\.gate_up\\.weight",
                "to": ["blocks.\\1.mlp.w1.weight", "blocks.\\1.mlp.w3.weight"]},
               {"from": "patch_embed\\.weight", "to": "image_in.weight", "transpose": true},
               {"from": "ema\\.([^.]+)", "drop": true}],
     "config": {"heads": [8, 8, 16, 16]}}

Convention: the first rule that matches a whole name counts. `part` [i, n] puts a matrix in as the i-th of n
blocks of rows (from 0), a list in `to` cuts one into as many equal blocks of rows, `transpose` swaps the two
axes first, `drop` leaves a tensor out. `config` states what no shape tells, above all the head counts.
`from` is a regular expression of few means, so that no file can make it take long: parts between dots, each
literal text around at most one group, which is (\d+), ([^.]+) or words such as (q|k|v).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files import read_text

MAX_BYTES = 1_000_000
MAX_RULES = 1_000
MAX_LENGTH = 200  # characters of a pattern

LITERAL = r"[A-Za-z0-9_-]*"
PART = re.compile(rf"{LITERAL}(\((\\d\+|\[\^\.\]\+|\w+(\|\w+)*)\)({LITERAL}))?")
FIELDS = {"from", "to", "part", "transpose", "drop"}
ALLOWED = r"allowed are parts such as blocks, layer_(\d+), ([^.]+), to_(q|k|v) with \. between them"


@dataclass(frozen=True)
class Rule:
    """What becomes of the tensors whose whole name `pattern` matches; no `targets` when they are dropped."""

    pattern: re.Pattern
    targets: tuple[str, ...] = ()
    part: tuple[int, int] | None = None
    transpose: bool = False

    @classmethod
    def from_dict(cls, facts: Any) -> "Rule":
        """Returns the rule of a JSON object; raises ValueError for what makes no rule."""
        if not isinstance(facts, dict) or not set(facts) <= FIELDS or "from" not in facts:
            raise ValueError(f"a rule is an object of {', '.join(sorted(FIELDS))} with a from, got {facts!r}")
        pattern = _pattern(facts["from"])
        targets = facts.get("to", [])
        targets = (targets,) if isinstance(targets, str) else targets
        if not isinstance(targets, list | tuple) or not all(isinstance(each, str) for each in targets):
            raise ValueError(f"to must be a name or a list of names, got {targets!r}")
        for name in ("drop", "transpose"):
            if not isinstance(facts.get(name, False), bool):
                raise ValueError(f"{name} must be true or false, got {facts[name]!r}")
        if bool(targets) == facts.get("drop", False):
            raise ValueError(f"a rule needs either to or drop, got {facts!r}")
        for target in targets:
            _check_target(pattern, target)
        part = _part(facts.get("part"))
        if part and len(targets) > 1:
            raise ValueError(f"a rule either merges (part) or splits (a list in to), got {facts!r}")
        return cls(pattern, tuple(targets), part, facts.get("transpose", False))


def _pattern(source: Any) -> re.Pattern:
    if not isinstance(source, str) or len(source) > MAX_LENGTH:
        raise ValueError(f"from must be a text of at most {MAX_LENGTH} characters, got {str(source)[:80]!r}")
    parts = source.removeprefix("^").removesuffix("$").split(r"\.")
    for part in parts:
        if not PART.fullmatch(part):
            raise ValueError(f"from must not hold {part!r} (in {source!r}); {ALLOWED}")
    return re.compile(r"\.".join(parts), re.ASCII)


def _check_target(pattern: re.Pattern, target: str) -> None:
    wanted = {int(number) for number in re.findall(r"\\(\d)", target)}
    if not re.fullmatch(r"(\\[1-9]|[A-Za-z0-9_.-])+", target) or max(wanted, default=0) > pattern.groups:
        raise ValueError(
            f"to must be a name that may use the {pattern.groups} groups of its from as \\1 and so on, "
            f"got {target!r}"
        )


def _part(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    whole = isinstance(value, list) and len(value) == 2 and all(type(number) is int for number in value)
    if not whole or not 0 <= value[0] < value[1] <= 16:
        raise ValueError(f"part must be [i, n] with 0 <= i < n, the i-th of n blocks of rows; got {value!r}")
    return tuple(value)


@dataclass(frozen=True)
class Renamed:
    """Tensors by our names; `unmatched` names no rule matched, `problems` what could not be put together."""

    tensors: dict[str, Tensor]
    unmatched: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeyMap:
    """Rules from a checkpoint's names to ours, and what its config must be told."""

    rules: tuple[Rule, ...]
    config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, path: Path | str) -> "KeyMap":
        """Returns the rules of a file. Raises ValueError that names the rule which is wrong."""
        path = Path(path)
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"a key map may have {MAX_BYTES} bytes, {path} has {path.stat().st_size}")
        text = read_text(path)
        try:
            facts = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} must be JSON, but {error}") from error
        try:
            return cls.from_dict(facts)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, facts: Any) -> "KeyMap":
        """Returns the rules of a JSON object {"rules": [...], "config": {...}}."""
        if not isinstance(facts, dict) or not set(facts) <= {"rules", "config"}:
            raise ValueError("a key map must be an object of rules and config")
        rules, config = facts.get("rules", []), facts.get("config", {})
        if not isinstance(rules, list) or len(rules) > MAX_RULES or not isinstance(config, dict):
            raise ValueError(f"rules must be a list of at most {MAX_RULES}, config an object")
        found = []
        for number, rule in enumerate(rules, 1):
            try:
                found.append(Rule.from_dict(rule))
            except ValueError as error:
                raise ValueError(f"rule {number}: {error}") from error
        return cls(tuple(found), config)

    def apply(self, tensors: Mapping[str, Tensor]) -> Renamed:
        """Returns the tensors under our names."""
        found: dict[str, Tensor] = {}
        merges: dict[str, dict[int, Tensor]] = {}
        sizes: dict[str, int] = {}
        unmatched, problems = [], []
        for name, tensor in tensors.items():
            rule, match = self._rule(name)
            if match is None:
                unmatched.append(name)
                continue
            whole = tensor.T if rule.transpose and tensor.ndim == 2 else tensor
            targets = [_expanded(match, target) for target in rule.targets]
            if taken := [t for t in targets if _taken(t, rule.part, found, merges)]:
                problems.append(f"{name} would be {taken[0]}, which another tensor is already")
            elif rule.transpose and tensor.ndim != 2:
                problems.append(f"{name} has {tensor.ndim} axes; transpose needs 2")
            elif rule.part and not tensor.ndim:
                problems.append(f"{name} is a single number; a part needs rows")
            elif len(targets) > 1 and (not whole.ndim or len(whole) % len(targets)):
                problems.append(f"{name} {tuple(whole.shape)} cannot be cut into {len(targets)} equal parts")
            elif rule.part:
                index, sizes[targets[0]] = rule.part
                merges.setdefault(targets[0], {})[index] = whole
            elif targets:
                found.update(zip(targets, whole.chunk(len(targets)) if targets[1:] else [whole], strict=True))
        for target, parts in merges.items():
            _merge(found, problems, target, parts, sizes[target])
        return Renamed(found, tuple(unmatched), tuple(problems))

    def _rule(self, name: str) -> tuple[Rule, re.Match | None]:
        for rule in self.rules:
            if match := rule.pattern.fullmatch(name):
                return rule, match
        return Rule(re.compile("")), None


def _expanded(match: re.Match, target: str) -> str:
    """The target with the groups in it; `Match.expand` would read \\10 as group 10, and \\100 as an octal."""
    return re.sub(r"\\([1-9])", lambda number: match[int(number[1])], target)


def _taken(target: str, part: tuple[int, int] | None, found: Mapping, merges: Mapping) -> bool:
    return part[0] in merges.get(target, {}) if part else target in found


def _merge(found: dict, problems: list, target: str, parts: Mapping[int, Tensor], size: int) -> None:
    """Puts the parts of a tensor together, in their order."""
    missing = [index for index in range(size) if index not in parts]
    shapes = {tuple(part.shape[1:]) for part in parts.values()}
    if missing:
        problems.append(f"{target} lacks part {missing[0]} of {size}")
    elif len(shapes) > 1 or target in found:
        problems.append(f"the parts of {target} do not fit together")
    else:
        found[target] = torch.cat([parts[index] for index in range(size)])
