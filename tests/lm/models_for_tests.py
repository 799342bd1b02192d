"""Small random models for the tests of `models/lm`, written to disk the way their publishers do."""

from pathlib import Path

import torch

from presample.models.lm.build import build
from presample.models.lm.decode import Row, Session, decode
from presample.models.lm.formats import folder_weights
from presample.models.lm.llama import Cache, Decoder
from presample.models.lm.sampling import Sampling

LLAMA = {
    "vocab_size": 211,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def save_llama(folder: Path, *, seed: int = 0, **changes):
    """Saves a random LLaMA as transformers does and returns transformers' own model of it."""
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(**{**LLAMA, **changes})).eval()
        for name, parameter in model.named_parameters():
            spread = torch.randn_like(parameter)
            parameter.data = 1 + 0.3 * spread if "norm" in name else 0.15 * spread
    model.save_pretrained(folder)
    return model


def open_decoder(folder: Path, *, precision: str = "float32", device: str = "cpu") -> Decoder:
    return build(folder_weights(folder), device=torch.device(device), precision=precision)


def logits(model: Decoder, rows: list[list[int]], *, length: int = 128) -> list[torch.Tensor]:
    """Returns the logits (n, vocabulary) of each row, all rows prefilled by themselves into one cache."""
    found = []
    for row in rows:
        cache = Cache(model.config, 1, length)
        positions = torch.arange(len(row))[None]
        found.append(model.head(model(torch.tensor([row]), cache, positions, extent=len(row)))[0])
    return found


class Plain:
    """A guide that lets the model write up to `count` tokens, and takes back what `undo` says at each one."""

    def __init__(self, *, count: int = 10**9, eos: int | None = None, forbid=(), undo=None):
        self.count, self.eos, self.forbid, self.undo = count, eos, forbid, undo
        self.taken: list[tuple[int, float]] = []
        self.stopped = False
        self.done = count == 0

    def forbidden(self):
        return self.forbid

    def take(self, token: int, chance: float) -> int:
        self.taken.append((token, chance))
        back = self.undo(len(self.taken)) if self.undo else 0
        self.done = (token == self.eos or len(self.taken) >= self.count) and not back
        return back

    def stop(self) -> None:
        self.done = self.stopped = True


def greedy(language, prompt: list[int], count: int) -> list[int]:
    """Returns the `count` likeliest tokens, one after another, that follow a prompt."""
    session = Session(language, 1, len(prompt) + count)
    row = Row(prompt, Plain(count=count), torch.Generator())
    decode(session, [row], Sampling(temperature=0.0), max_new_tokens=count)
    return row.written
