"""The latent space of FLUX's autoencoder, in which MMH-DiT paints.

Convention: latents are (b, 16, h, w) with a cell for 8 by 8 pixels, at unit scale, as a flow model sees them:
z = (raw - shift) * scale of what FLUX's encoder gives. Source: black-forest-labs/flux.
"""

CHANNELS = 16
STRIDE = 8  # pixels of a cell, to each side
SHIFT, SCALE = 0.1159, 0.3611


def latent_shape(width: int, height: int, *, channels: int = CHANNELS) -> tuple[int, int, int]:
    """Returns (channels, h, w) of the latent of a picture of `width` by `height` pixels.

    Raises:
        ValueError: a side is no multiple of 8, or less than 8.
    """
    if width % STRIDE or height % STRIDE or min(width, height) < STRIDE:
        raise ValueError(f"width and height must be multiples of {STRIDE}, got {width}x{height}")
    return channels, height // STRIDE, width // STRIDE
