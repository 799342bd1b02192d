"""Measures of what models make."""
