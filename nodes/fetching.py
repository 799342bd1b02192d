"""Downloads that a person switched on in a node, with ComfyUI's progress bar and its stop."""

import logging
from pathlib import Path

import comfy.model_management as mm
import comfy.utils

from ..models.fetching import download
from ..models.published.known import Known
from ..models.transfer import DownloadStopped
from .compat import known_only


def fetch(known: Known, folder: Path, unique_id: str | None) -> None:
    """Downloads a known model into a folder; raises DownloadError, and ComfyUI's own where it is stopped."""
    bar = comfy.utils.ProgressBar(1, **known_only(comfy.utils.ProgressBar, node_id=unique_id))

    def progress(file: str, here: int, size: int) -> None:
        bar.update_absolute(here, size)

    logging.getLogger("presample").info("downloading %s from %s", known.name, known.page)
    try:
        download(known, folder, progress=progress, should_stop=mm.processing_interrupted)
    except DownloadStopped:
        mm.throw_exception_if_processing_interrupted()
        raise
