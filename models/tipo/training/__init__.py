"""Makes and measures small TIPO models from the little world."""
