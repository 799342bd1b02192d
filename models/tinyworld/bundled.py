"""The names of the little world's bundled models: folders among those that come with this package."""

MODEL = "mmh-dit-tiny"
CLIP = "tiny-clip"
AUTOENCODER = "tiny-autoencoder"
ORACLE = "tiny-oracle"
TASTE = "tiny-reward"
WORDS = "tipo-tiny"
