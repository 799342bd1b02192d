# make demo   expand a prompt with the bundled models and paint it, from nothing
# make test   the whole test suite and the linter
# make bench  the speed table of the README (installs the programs it is compared with)
# make lint   ruff alone
# make webui  the WebUI panel in both versions of gradio that hosts have, each in an environment of its own, and the
#             pairwise page in the newer one

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test bench lint webui clean

demo: $(VENV)/.demo
	$(BIN)/presample demo

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

bench: $(VENV)/.bench
	$(BIN)/presample bench lm --json out/bench-lm.json --chart out/bench-lm.png

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# What hosts install beside these versions of gradio: A1111, reForge and Classic the one, Forge and Neo the other.
GRADIO_3.41.2 := fastapi==0.94.0 'pydantic<2' 'huggingface_hub<0.26'
GRADIO_4.40.0 := fastapi==0.104.1 pydantic==2.8.2 huggingface_hub==0.26.2

webui: $(VENV)/gradio-3.41.2/.ready $(VENV)/gradio-4.40.0/.ready
	$(VENV)/gradio-3.41.2/bin/python -m pytest tests/webui
	$(VENV)/gradio-4.40.0/bin/python -m pytest tests/webui tests/metrics/test_pairwise_page.py

$(VENV)/gradio-%/.ready: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  -e . gradio==$* $(GRADIO_$*) 'numpy<2' httpx==0.24.1 'setuptools<81' pytest hypothesis playwright
	touch $@

# Each mark is newer than what it was made from once its packages are installed.
$(VENV)/.demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

# The part of torch-fidelity that ours is compared with does without the torchvision that it asks for.
$(VENV)/.test: $(VENV)/.demo
	$(PIP) -e '.[train,bench,test]'
	$(PIP) --no-deps torch-fidelity==0.4.0
	touch $@

$(VENV)/.bench: $(VENV)/.demo
	$(PIP) -e '.[bench]'
	-$(PIP) llama-cpp-python
	touch $@

clean:
	rm -rf $(VENV) out
