"""Our own tokenizer, from tokenizer.json, a sentencepiece model or GGUF metadata, without any package."""

from .tokenizer import Tokenizer, load_tokenizer, read_config

__all__ = ["Tokenizer", "load_tokenizer", "read_config"]
