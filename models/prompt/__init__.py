"""Prompt text as people write it: lexer, regions, layouts."""
