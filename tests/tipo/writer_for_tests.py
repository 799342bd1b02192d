"""A language model of a few lines that writes items from a list, to prove what guides let through."""

from types import SimpleNamespace

import torch

from presample.models.lm.sampling import Sampling, candidates, draw
from presample.models.prompt.document import read
from presample.models.tipo.bans import compile_bans
from presample.models.tipo.draft import Draft, Rules
from presample.models.tipo.options import ExpandOptions
from presample.models.tipo.tags import load_tags

LIVELY = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ().:#/_'!?\""
MARKS = (",", "\n", "),", ',"', ",'", ")\n", ".\n", ",\n", ". ", ". T", ', "', " ,")


class Writer:
    """Writes items, each after a blank; `ends` are what may follow one, with their weights, EOS as "".

    Its tokens are letters, bytes, the given words, and marks that stand in one token with letters, as in real
    vocabularies. Every token has a weight of at least `noise`, wherever it is; an item has 1, or its value in
    a dict.
    """

    def __init__(self, items, *, ends=None, words=(), noise=0.0):
        texts = dict.fromkeys([*LETTERS, *MARKS, *words, *(f" {word}" for word in words)])
        self.pieces = [b"", *(text.encode() for text in texts), *(bytes([b]) for b in range(128, 256))]
        self.token = {piece: token for token, piece in enumerate(self.pieces)}
        self.tokenizer = SimpleNamespace(eos=0)
        self.items = items if isinstance(items, dict) else dict.fromkeys(items, 1.0)
        self.ends = ends or {",": 1.0}
        self.noise = noise

    def tokens_with(self, mark: bytes):
        return tuple(token for token, piece in enumerate(self.pieces) if mark in piece)

    def chances(self, tokens) -> torch.Tensor:
        """The next token's probabilities: longer pieces of a continuation are likelier."""
        text = b"".join(self.pieces[token] for token in tokens)
        weights = torch.full((len(self.pieces),), self.noise, dtype=torch.float64)
        for rest, weight in self.continuations(text):
            ways = {self.token.get(rest[:n]): 4.0**n for n in range(bool(rest), len(rest) + 1)}
            ways.pop(None, None)
            for token, share in ways.items():
                weights[token] += weight * share / sum(ways.values())
        return weights / weights.sum().clamp_min(1e-9)

    def continuations(self, text: bytes):
        """What may come next, with weights; nothing means EOS."""
        begun = _behind(text, filter(None, self.ends))
        for item, weight in self.items.items():
            for end, share in self.ends.items():
                whole = f" {item}{end}".encode()
                if whole.startswith(begun):
                    yield whole[len(begun) :], weight * share


class Teller(Writer):
    """Writes sentences one after another; `stop` is the weight of their end, or of `then` in its place."""

    def __init__(self, items, *, stop=0.001, lines=0.1, then="", **more):
        super().__init__(items, **more)
        self.stop, self.lines, self.then = stop, lines, then

    def continuations(self, text: bytes):
        begun = _behind(text, self.items)
        nexts = {f" {item}": weight for item, weight in self.items.items()}
        nexts |= {f"\n{item}": weight * self.lines for item, weight in self.items.items()}
        nexts[self.then] = self.stop
        for whole, weight in ((whole.encode(), weight) for whole, weight in nexts.items()):
            if whole.startswith(begun) and (whole != begun or not whole):
                yield whole[len(begun) :], weight


def _behind(text: bytes, ends) -> bytes:
    """What stands behind the last of `ends` in a text."""
    found = ((text.rfind(end), len(end)) for end in (end.encode() for end in ends))
    return text[max((at + length for at, length in found if at >= 0), default=0) :]


def write(guide, writer, *, seed=0, sampling=LIVELY, most_tokens=4000):
    """Lets the guide write with the writer, as `decode` does; returns how many tokens were drawn."""
    generator = torch.Generator().manual_seed(seed)
    tokens, draws = [], 0
    while not guide.done:
        logits = writer.chances(tokens).log()
        logits[list(guide.forbidden())] = -torch.inf
        values, ids = candidates(logits[None].float(), sampling.top_k)
        if values[0, 0] == -torch.inf:
            guide.stop()
            break
        places, chances = draw(values, sampling, torch.rand(1, generator=generator))
        tokens.append(int(ids[0, places[0]]))
        draws += 1
        if back := guide.take(tokens[-1], chances[0]):
            del tokens[-back:]
        if not guide.done and (len(tokens) >= most_tokens or draws >= 20_000):
            guide.stop()
    return draws


def draft(prompt="", **options):
    """The draft of a prompt with one region."""
    options = ExpandOptions(**options)
    tags = load_tags()
    bans = compile_bans(options.ban, mode=options.ban_mode)
    [region] = read(prompt, known=lambda text: tags.lookup(text) != "general").regions
    return Draft(region, options.seed, Rules(options, tags, bans))
