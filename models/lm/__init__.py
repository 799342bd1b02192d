"""Small decoder-only language models, run by us on torch alone."""
