# `make help` lists the targets. Each makes the environment that it needs, in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := $(BIN)/python -m pip --disable-pip-version-check
PROJECT := pyproject.toml setup.py $(addprefix autograd_bp/,ops.py languages.py headers.py special.h \
	value.py value.pxd tape.py nary.py) $(addprefix autograd_bp/program/,kernel.c kernel_loops.h record.py \
	record.pxd simplify.py simplify.pxd)
SUITE := $(BIN)/python -m pytest -n auto --dist worksteal tests

.PHONY: help demo test test-all test-interpreted test-fallback wheel coverage fuzz conformance \
	composition mutation example-operation sanitize valgrind oom lint hooks bench reference docs bench-pages clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

demo: $(VENV)/.demo  ## differentiate, train on real data, draw: pictures in out/
	@echo "── The demo: about 15 s with the compiled engine"
	$(BIN)/python examples/demo.py --out out

test: $(VENV)/.dev  ## the test suite without its slowest tests
	$(SUITE) -m "not slow"

test-all: $(VENV)/.dev  ## the whole test suite
	$(SUITE)

test-interpreted: $(VENV)/.dev  ## the tests of the engine, with the engine as ordinary Python
	AUTOGRAD_BP_INTERPRETED=1 $(SUITE) -m "not slow and not one_engine"

coverage: $(VENV)/.dev  ## branch coverage of autograd_bp and nn, of the interpreted engine; 95 % or more
	AUTOGRAD_BP_INTERPRETED=1 $(SUITE) --cov --cov-report=term

fuzz: $(VENV)/.dev  ## random sequences over the public surface, 20000 of them
	$(BIN)/python -m tests.fuzz --examples 20000 --seed 1

conformance: $(VENV)/.dev  ## make docs/conformance.md anew
	$(BIN)/python -m tests.conformance --write

composition: $(VENV)/.dev  ## every verb on what every verb makes; docs/composition.md anew, in minutes
	$(BIN)/python -m tests.composition --write

mutation: $(VENV)/.mutation  ## wrong engines that the tests must find; make docs/mutation.md anew
	$(BIN)/python -m tests.mutation --write

test-fallback:  ## an installation without a C compiler works, interpreted
	$(PYTHON) -m venv --clear .venv-fallback
	CC=no-compiler .venv-fallback/bin/pip install --quiet --no-compile .
	cd .venv-fallback && bin/python -c "from autograd_bp import *; from autograd_bp import compiled; \
	x = Value(3.0); (x * x).backward(); assert x.grad == 6.0 and not compiled"

wheel: $(VENV)/.dev  ## build the source distribution, from it a wheel, and try that in an empty environment
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(PYTHON) -m venv --clear .venv-wheel
	.venv-wheel/bin/pip install --quiet --no-compile dist/*.whl
	.venv-wheel/bin/python tests/smoke.py

example-operation: $(VENV)/.dev  ## add an operation to a copy, by one row: its tests appear
	tests/example_operation.sh $(BIN)/python

sanitize: $(VENV)/.dev  ## the compiled modules under gcc's sanitizers of addresses and undefined behaviour
	tests/sanitize.sh $(BIN)/python

valgrind: $(VENV)/.dev  ## the compiled modules under valgrind's memcheck
	tests/valgrind.sh $(BIN)/python

oom: $(VENV)/.dev  ## every allocation of the engine and the kernel made to fail, one after the other
	tests/oom.sh $(BIN)/python

lint: $(VENV)/.dev  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

hooks: $(VENV)/.dev  ## check each commit before it is made
	$(BIN)/pre-commit install

bench: $(VENV)/.bench  ## the speed tables, side by side with peers
	$(BIN)/python -m benchmarks

reference: $(VENV)/.dev  ## make the table of operations and the README's pictures anew
	$(BIN)/python docs/make_reference.py

docs: $(VENV)/.docs  ## build the site, every warning an error, into site/
	$(BIN)/mkdocs build --quiet

bench-pages: $(VENV)/.bench  ## run the short benchmarks anew into the site's pages
	$(BIN)/python docs/make_benchmarks.py

clean:  ## remove environments, builds and outputs
	rm -rf .venv* build dist out site *.egg-info autograd_bp/*.so autograd_bp/program/*.so

# One stamp for each set of extras. What is imported is byte-compiled then, the rest never.
$(VENV)/.%: $(VENV)/.engine
	@echo "── Installing what '$*' needs into $(VENV): a minute or two, most of it for downloads"
	$(PIP) install --no-compile "autograd-bp[$*]"
	@touch $@

# The project itself, built once for all extras, anew when it or the compiled files change.
$(VENV)/.engine: $(PROJECT)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "── Compiling the engine: about 25 s on two cores (without a C compiler it is interpreted)"
	$(PIP) install --no-compile --editable .
	@touch $@
