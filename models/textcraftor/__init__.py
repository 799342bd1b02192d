"""Mixing text encoders that rewards have tuned, and the trainer that makes them."""
