"""A WebUI: the one at WEBUI_URL, or the checkout WEBUI_PATH, run by WEBUI_PYTHON with WEBUI_FLAGS.

The extension must be in its `extensions` folder (a link will do), `--api` among its flags, and a checkpoint
loaded; one of random weights is enough, for pictures are only compared with each other. Some prompts make
such weights overflow, which A1111 and reForge take for an error without `--disable-nan-check`.
"""

import base64
import hashlib
import io
import json
import os
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

PORT = 7999
SMALL = {"steps": 1, "width": 64, "height": 64, "seed": 1, "sampler_name": "Euler", "cfg_scale": 5}
TITLE = "Presample TIPO"


class WebUI:
    """The API of a WebUI."""

    def __init__(self, url):
        self.url = url.rstrip("/")

    def call(self, path, body=None, *, timeout=300):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read()[:2000]}") from error

    def make(self, prompt=None, settings=None, *, tab="txt2img", **others):
        """Returns pictures and infotexts; `settings` are the panel's, None leaves it as it is."""
        body = {**SMALL, "save_images": False, **others}
        if prompt is not None:
            body["prompt"] = prompt
        if tab == "txt2img":
            body |= {"hr_additional_modules": ["Use same choices"], "styles": []}  # Forge fails without
        if settings is not None:
            body["alwayson_scripts"] = {TITLE: {"args": [settings]}}
        answer = self.call(f"/sdapi/v1/{tab}", body)
        return Made(answer["images"], json.loads(answer["info"]))

    def infotext(self, image):
        """Returns what a picture says of itself, as PNG Info reads it."""
        return self.call("/sdapi/v1/png-info", {"image": "data:image/png;base64," + image})


class Made:
    """What a call has made, without the grid."""

    def __init__(self, images, info):
        first = info["index_of_first_image"]
        self.images, self.infotexts = images[first:], info["infotexts"][first:]
        self.prompts = info["all_prompts"]
        self.info = info

    @property
    def pixels(self):
        """A hash of each picture, without what a PNG says of itself."""
        from PIL import Image

        pictures = [Image.open(io.BytesIO(base64.b64decode(image))).convert("RGB") for image in self.images]
        for picture in pictures:
            assert any(low < high for low, high in picture.getextrema()), (
                "a picture of one colour proves nothing"
            )
        return [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures]


@pytest.fixture(scope="session")
def webui():
    """A running WebUI, or the reason why there is none."""
    url, path = os.environ.get("WEBUI_URL"), os.environ.get("WEBUI_PATH")
    if not url and not path:
        pytest.skip("neither WEBUI_URL nor WEBUI_PATH names a WebUI")
    if url:
        yield WebUI(url)
        return
    flags = [*shlex.split(os.environ.get("WEBUI_FLAGS", "")), "--api", "--port", str(PORT)]
    command = [os.environ.get("WEBUI_PYTHON", sys.executable), "launch.py", *flags]
    server = subprocess.Popen(command, cwd=path)
    try:
        yield _ready(WebUI(f"http://127.0.0.1:{PORT}"), server)
    finally:
        server.terminate()
        server.wait(30)


def _ready(webui, server, seconds=300):
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            webui.make("ready")  # it answers before its page, and so its scripts, are there
        except (OSError, AssertionError):
            time.sleep(1)
        else:
            return webui
    pytest.fail(f"no WebUI within {seconds} s")
