"""Tuning text encoders with rewards."""
