"""Adapters between the A1111 family of WebUIs and `models/`."""
