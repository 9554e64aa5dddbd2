# make             this list
# make demo        train on cartoon faces, look at what comes out, export it, mass-produce with it; goes on where it was
#                  interrupted and makes nothing twice; DEMO=folder makes another
# make test        the whole test suite, as CI runs it
# make fuzz        3,000 mutated inputs to everything that reads files; SEED=1 makes others
# make lint type   ruff; mypy
# make bench       kernels, a training step and inference against their baselines; writes benchmarks/results/
# make node-client the packages of tests/clients/node, whose tests are skipped without them; needs npm
# make gpu-check   on a machine with an NVIDIA GPU: build, test there, benchmark; no network needed
# make sanitize    after gpu-check: the op tests under compute-sanitizer, memcheck and racecheck
# make cuda-compile  compile every .cu file; needs nvcc, but no GPU
# make clean       remove .venv, build and the compiled extension; runs stay

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DEMO   ?= demo
export PIP_CONSTRAINT       := $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

NATIVE := setup.py pyproject.toml $(shell find csrc -type f)

NODE   := tests/clients/node

.PHONY: help demo test fuzz node-client lint type bench gpu-check sanitize cuda-compile clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

# Each step of the demo is the file that it leaves, made once: no run is ever taken away.
demo: $(DEMO)/grid/grid.png $(DEMO)/avatars.onnx
	$(BIN)/fastgan generate $(DEMO)/avatars.onnx -n 1000 -o $(DEMO)/images
	@echo
	@echo "A grid of 49 new faces    $(DEMO)/grid/grid.png"
	@echo "1,000 of them             $(DEMO)/images/"
	@echo "How training went         $(DEMO)/run/grids/ (and $(BIN)/tensorboard --logdir $(DEMO)/run)"
	@echo "The model for production  $(DEMO)/avatars.onnx"
	@echo "Next: your own pictures   $(BIN)/fastgan train path/to/pictures"
	@echo "      train on            $(BIN)/fastgan train --resume $(DEMO)/run --budget 240kimg"
	@echo "      another demo        make demo DEMO=$(DEMO)-2"

# What the demo needs is a part of what dev installs: where that is there, nothing is compiled again.
$(DEMO)/avatars.fgd: | $(VENV)/$(if $(wildcard $(VENV)/dev.installed),dev,demo).installed
	$(BIN)/fastgan data avatars -o $@ -n 6000 --size 64

$(DEMO)/run/generator.safetensors: | $(DEMO)/avatars.fgd
	$(BIN)/fastgan train $(DEMO)/avatars.fgd --preset demo --out $(DEMO)/run --resume auto

$(DEMO)/avatars.onnx: | $(DEMO)/run/generator.safetensors
	$(BIN)/fastgan export $(DEMO)/run --onnx $@

$(DEMO)/grid/grid.png: | $(DEMO)/run/generator.safetensors
	$(BIN)/fastgan generate $(DEMO)/run --grid -n 49 -o $(DEMO)/grid

test: $(VENV)/dev.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

SEED ?= 0
fuzz: $(VENV)/dev.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --count 3000 --jobs 2 --seed $(SEED)

node-client: $(NODE)/node_modules/.package-lock.json

# Without npm, or without a registry, the client's tests are skipped: that is no reason to fail.
$(NODE)/node_modules/.package-lock.json: $(NODE)/package-lock.json
	@if ! command -v npm >/dev/null; then echo "no npm: the tests of $(NODE) will be skipped"; \
	elif npm ci --prefix $(NODE) --no-audit --no-fund --loglevel=error; then touch $@; \
	else rm -rf $(NODE)/node_modules; echo "npm ci failed: the tests of $(NODE) will be skipped"; fi

lint: $(VENV)/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(VENV)/dev.installed
	$(BIN)/mypy

bench: $(VENV)/dev.installed
	$(BIN)/python -m benchmarks.ops --no-compile
	$(BIN)/python -m benchmarks.train_step
	$(BIN)/python -m benchmarks.inference

gpu-check:
	FASTGAN_CUDA=1 FASTGAN_CUDA_ARCHS=90 $(PYTHON) -m pip install --no-index --no-deps --no-build-isolation -q -e .
	$(PYTHON) -m benchmarks.gpu_check

# Without torch's caching allocator every tensor is an allocation of its own, whose end memcheck knows.
sanitize: export FASTGAN_TEST_DEVICE := cuda
sanitize: export FASTGAN_OPS := native
sanitize: export PYTORCH_NO_CUDA_MEMORY_CACHING := 1
sanitize:
	for tool in memcheck racecheck; do \
		compute-sanitizer --tool $$tool --error-exitcode 1 \
			$(PYTHON) -m pytest -q -x -p no:cacheprovider -p no:xdist tests/ops || exit 1; \
	done

cuda-compile: $(VENV)/dev.installed
	$(BIN)/python setup.py compile_cuda

clean:
	rm -rf $(VENV) build fastgan/*.so *.egg-info
	@[ ! -e $(DEMO) ] || echo "kept: $(DEMO) with its run; rm -r $(DEMO) removes it"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch-fidelity is an oracle of the tests: it asks for torchvision, which has no build for a CPU's torch, and does without.
$(VENV)/%.installed: $(VENV)/bin/python $(NATIVE) constraints.txt
	@echo "Downloading what fastgan needs and compiling its kernels: a few minutes, in which pip says nothing"
	FASTGAN_REQUIRE_NATIVE=1 $(BIN)/python -m pip install -q -e '.[$*]'
	[ $* != dev ] || $(BIN)/python -m pip install -q --no-deps torch-fidelity==0.4.0
	touch $@
