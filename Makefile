# make demo   expand a prompt with the bundled model, from nothing
# make test   the whole test suite and the linter
# make bench  the speed table of the README (installs the programs it is compared with)
# make lint   ruff alone

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test bench lint clean

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

# Each mark is newer than what it was made from once its packages are installed.
$(VENV)/.demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(PIP) -e '.[train,bench,test]'
	touch $@

$(VENV)/.bench: $(VENV)/.demo
	$(PIP) -e '.[bench]'
	-$(PIP) llama-cpp-python
	touch $@

clean:
	rm -rf $(VENV) out
