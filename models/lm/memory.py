"""Giving memory back to the system when a model is gone.

Loading a model frees hundreds of megabytes of temporary tensors and, later, the model itself. glibc keeps
such memory for itself, in pieces between what is still used, and the process seems to leak.
"""

import contextlib
import ctypes


def give_back() -> bool:
    """Returns whether the C library gave freed memory back to the system; only glibc knows how."""
    with contextlib.suppress(OSError, AttributeError):
        return ctypes.CDLL(None).malloc_trim(0) == 1
    return False
