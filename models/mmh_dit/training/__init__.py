"""Training of MMH-DiT: `presample train mmh-dit`."""
