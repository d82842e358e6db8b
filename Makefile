# `make help` lists the targets. Each makes the environment that it needs, in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROJECT := pyproject.toml setup.py autograd_bp/ops.py autograd_bp/value.py autograd_bp/value.pxd \
	autograd_bp/tape.py $(addprefix autograd_bp/program/,c_text.py kernel.c kernel_loops.h record.py \
	record.pxd simplify.py simplify.pxd)

.PHONY: help demo test test-interpreted test-fallback coverage fuzz conformance mutation \
	example-operation sanitize valgrind oom lint hooks bench readme docs bench-pages clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

demo: $(VENV)/.examples  ## differentiate, train on real data, draw: pictures in out/
	$(BIN)/python examples/demo.py --out out

test: $(VENV)/.dev  ## the whole test suite
	$(BIN)/pytest -n auto tests

test-interpreted: $(VENV)/.dev  ## the same with the engine as ordinary Python
	AUTOGRAD_BP_INTERPRETED=1 $(BIN)/pytest -n auto tests

coverage: $(VENV)/.dev  ## branch coverage of autograd_bp and nn, of the interpreted engine; 95 % or more
	AUTOGRAD_BP_INTERPRETED=1 $(BIN)/pytest -n auto --cov --cov-report=term tests

fuzz: $(VENV)/.dev  ## random sequences over the public surface, 20000 of them
	$(BIN)/python -m tests.fuzz --examples 20000 --seed 1

conformance: $(VENV)/.dev  ## make docs/conformance.md anew
	$(BIN)/python -m tests.conformance --write

mutation: $(VENV)/.mutation  ## wrong engines that the tests must find; make docs/mutation.md anew
	$(BIN)/python -m tests.mutation --write

test-fallback:  ## an installation without a C compiler works, interpreted
	$(PYTHON) -m venv .venv-fallback
	CC=no-compiler .venv-fallback/bin/pip install --quiet .
	cd .venv-fallback && bin/python -c "from autograd_bp import *; from autograd_bp import compiled; \
	x = Value(3.0); (x * x).backward(); assert x.grad == 6.0 and not compiled"

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

readme: $(VENV)/.dev  ## make the README's table of operations and pictures anew
	$(BIN)/python docs/make_readme.py

docs: $(VENV)/.docs  ## build the site, every warning an error, into site/
	$(BIN)/mkdocs build --quiet

bench-pages: $(VENV)/.bench  ## run the short benchmarks anew into the site's pages
	$(BIN)/python docs/make_benchmarks.py

clean:  ## remove environments, builds and outputs
	rm -rf .venv* build dist out site *.egg-info autograd_bp/*.so autograd_bp/program/*.so

# One stamp for each set of extras, renewed when the project or the compiled files change.
$(VENV)/.%: $(PROJECT)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	touch $@
