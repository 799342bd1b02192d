"""How the little world's own models are made."""
