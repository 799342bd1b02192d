"""Whether a job is inside another, so that what other scripts do with pictures is told from other jobs.

Detailers do so while a job's pictures are made: they call all scripts on a copy of the job, and make pictures
of parts of a picture, of the job's prompt or another. Those prompts have been expanded already, and the
infotexts of copies, and of many of those parts, are the job's own.
"""

import sys
from typing import Any

HOSTS = "process_images_inner"  # what makes a job's pictures, in all hosts; the job is its `p`


def inside(p: Any) -> bool:
    """Returns whether `p` is a pass inside of another job, or a copy of it: whether this thread is still at
    the pictures of that one. A job that failed is not on the way any more, and so has nothing inside it.
    """
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == HOSTS and frame.f_locals.get("p", p) is not p:
            return True
        frame = frame.f_back
    return False
