"""The programs that are measured beside ours, called as KGen 0.3.1 calls them.

transformers through `generate` with KGen's processors; llama.cpp through llama-cpp-python's token generator,
which spares it the text handling of `create_completion`. Neither may end a text early.
Source: kgen/generate.py and kgen/executor/tipo.py of tipo-kgen 0.3.1.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from .contestants import Timing, Unavailable

TEMPERATURE, TOP_P, TOP_K, MIN_P, REPETITION_PENALTY = 0.5, 0.95, 60, 0.1, 1.17
BROKEN = (ImportError, OSError, RuntimeError, AttributeError)  # what a damaged installation raises


class Transformers:
    """Hugging Face transformers."""

    def __init__(self, model, tokenizer):
        self.model, self.tokenizer = model, tokenizer

    @classmethod
    def load(cls, path: Path, precision: str, *, device: str, threads: int) -> "Transformers":
        transformers = _import("transformers")
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                path, local_files_only=True, trust_remote_code=False
            )
            model = transformers.LlamaForCausalLM.from_pretrained(
                path,
                local_files_only=True,
                torch_dtype=getattr(torch, precision),
                attn_implementation="sdpa",
            )
        except (ImportError, ValueError) as error:  # a package that transformers itself needs
            raise Unavailable(f"transformers cannot load a LLaMA here: {error}") from error
        return cls(model.requires_grad_(False).eval().to(device), tokenizer)

    def write(self, prompts: Sequence[Sequence[int]], new_tokens: int, *, seed: int) -> Timing:
        """Writes `new_tokens` after each prompt; the prompts must be of equal length."""
        from transformers import GenerationConfig

        settings = GenerationConfig(
            temperature=TEMPERATURE,
            top_p=TOP_P,
            top_k=TOP_K,
            min_p=MIN_P,
            repetition_penalty=REPETITION_PENALTY,
            do_sample=True,
            min_new_tokens=new_tokens,
            max_new_tokens=new_tokens,
            eos_token_id=2,
            pad_token_id=2,
        )
        watch = _Watch()
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            begin = time.perf_counter()
            ids = torch.tensor(prompts, device=self.model.device)
            with torch.no_grad():
                texts = self.model.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    generation_config=settings,
                    streamer=watch,
                ).tolist()
            end = time.perf_counter()
        tokens = sum(len(text) for text in texts) - ids.numel()
        return Timing(watch.times[1] - begin, end - begin, tokens)  # the prompt itself is seen first


class _Watch:
    """Notes when tokens arrive, in the form of a streamer of transformers."""

    def __init__(self):
        self.times: list[float] = []

    def put(self, tokens: torch.Tensor) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        self.times.append(time.perf_counter())


class LlamaCpp:
    """llama.cpp by way of llama-cpp-python."""

    def __init__(self, llama):
        self.llama = llama

    @classmethod
    def load(cls, path: Path, precision: str, *, device: str, threads: int) -> "LlamaCpp":
        llama_cpp = _import("llama_cpp", "llama-cpp-python")
        layers = 0
        if device.startswith("cuda"):
            if not llama_cpp.llama_supports_gpu_offload():
                raise Unavailable("this llama-cpp-python was built without GPU support")
            layers = -1
        return cls(
            llama_cpp.Llama(
                str(path),
                n_ctx=0,  # as the file says
                n_gpu_layers=layers,
                n_threads=threads,
                n_threads_batch=threads,
                verbose=False,
            )
        )

    def write(self, prompts: Sequence[Sequence[int]], new_tokens: int, *, seed: int) -> Timing:
        """Writes `new_tokens` after each prompt, one after the other: it has no rows."""
        self.llama.set_seed(seed)
        begin = time.perf_counter()
        firsts = [self._write_one(prompt, new_tokens) for prompt in prompts]
        end = time.perf_counter()
        return Timing(firsts[0] - begin, end - begin, len(prompts) * new_tokens)

    def _write_one(self, prompt: Sequence[int], new_tokens: int) -> float:
        """Returns when the first token came."""
        self.llama.reset()  # or a prompt it has seen would cost nothing
        tokens = self.llama.generate(
            list(prompt),
            temp=TEMPERATURE,
            top_p=TOP_P,
            top_k=TOP_K,
            min_p=MIN_P,
            repeat_penalty=REPETITION_PENALTY,
        )
        next(tokens)
        first = time.perf_counter()
        for _ in range(new_tokens - 1):
            next(tokens)
        tokens.close()
        return first


def _import(module: str, package: str | None = None):
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module:
            raise Unavailable(f"{package or module} is not installed") from error
        raise Unavailable(f"{package or module} needs {error.name}, which is not installed") from error
    except BROKEN as error:
        raise Unavailable(f"{package or module} is installed but cannot be imported: {error}") from error
