"""Expansion of whole files of prompts: read in parts, decoded together, written part by part."""
