# Everything a fresh machine needs is Python >= 3.11 and make.
#   make demo       train nothing, generate a small verified data set with the shipped model
#   make test       the fast tests;  make test-all  the slow ones too
# On a machine whose package index has no CPU build of torch:  make setup TORCH_INDEX=URL
PYTHON ?= python3
TORCH_INDEX ?=
BIN := .venv/bin
OUT ?= demo

.PHONY: setup demo test test-slow test-all lint clean

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "RetinaForge needs Python 3.11 or newer; set PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	DS_BUILD_OPS=0 $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	DS_BUILD_OPS=0 $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e '.[train,evaluate,dev]'
	@touch $@

demo: setup
	$(BIN)/retinaforge generate --count 24 --prompts docs/examples/prompts.txt --out $(OUT)
	$(BIN)/retinaforge verify $(OUT)

test: setup
	$(BIN)/pytest -q -m 'not slow'

test-slow: setup
	$(BIN)/pytest -q -m slow

test-all: test test-slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf .venv $(OUT) runs
