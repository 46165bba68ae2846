# Everything a fresh machine needs is Python >= 3.11 and make.
#   make demo       train nothing, generate a small gated, verified data set and its report page
#   make triton     a real Triton server in a venv of its own; make triton-serve starts it
#   make gpu-check  what an NVIDIA GPU does with all this, in eight minutes; needs torch and Triton alone
#   make test       the fast tests;  make test-all  the slow ones too
# On a machine whose package index has no CPU build of torch:  make setup TORCH_INDEX=URL
PYTHON ?= python3
TORCH_INDEX ?=
BIN := .venv/bin
OUT ?= demo
# Triton's Python backend is linked to the shared libpython that Debian's own Python has.
TRITON_PYTHON ?= /usr/bin/python3

.PHONY: setup demo triton triton-serve gpu-check test test-slow test-all lint clean

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "RetinaForge needs Python 3.11 or newer; set PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	DS_BUILD_OPS=0 $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	DS_BUILD_OPS=0 $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e '.[train,lora,evaluate,export,captions,serve,ingest,dev]'
	@touch $@

demo: setup
	$(BIN)/retinaforge generate --count 64 --model refiner-tiny --out $(OUT)
	$(BIN)/retinaforge verify $(OUT)
	$(BIN)/retinaforge report $(OUT)

triton: .venv-triton/.ready

.venv-triton/.ready: deploy/triton/requirements.txt
	@test -x .venv-triton/bin/python || $(TRITON_PYTHON) -m venv .venv-triton
	.venv-triton/bin/pip install --quiet --disable-pip-version-check \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
		-r deploy/triton/requirements.txt nvidia-pytriton==0.7.0 'numpy<2'
	@touch $@

triton-serve: triton
	.venv-triton/bin/python deploy/triton/serve.py

# With whatever Python has the GPU's torch; PACKAGES is a folder of wheels that it lacks.
PACKAGES ?=
gpu-check:
	$(PYTHON) deploy/gpu/check.py --out gpu-check $(if $(PACKAGES),--packages $(PACKAGES))

test: setup
	$(BIN)/pytest -q -n 2 --dist loadfile -m 'not slow' --durations=15

test-slow: setup
	@$(MAKE) --no-print-directory triton || echo "no Triton server can be set up here: its tests are skipped"
	$(BIN)/pytest -q -n 2 --dist loadfile -m slow --durations=25

test-all: test test-slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf .venv .venv-triton $(OUT) runs
