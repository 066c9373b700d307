# Every target installs what it needs into .venv; nothing outside this folder is touched.
PYTHON ?= python3
BIN := .venv/bin
# Most tests build small graphs, which keeps one core busy: a process for each.
PARALLEL := --numprocesses=auto --dist=worksteal

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all lint clean tensorboard seeds bench bench-all

help:            ## list the targets
	@grep -hE '^[a-z-]+: .*##|^[a-z-]+:.*##' Makefile | awk -F ':|##' '{printf "  make %-14s %s\n", $$1, $$NF}'

install: .venv/.installed  ## make .venv and install the package with its test tools

.venv/.installed: setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[test]'
	@touch $@

demo: install    ## sample set, teacher, baseline, two students, scores, CSV, TensorBoard logs: at most 10 minutes
	$(BIN)/python -m youtube8m_distill.cli.demo --output_dir=demo

tensorboard: install  ## show the demo's logs at http://localhost:6006
	$(BIN)/tensorboard --logdir=demo/runs

test: install    ## the tests, but for the slow ones
	$(BIN)/python -m pytest -m 'not slow' $(PARALLEL) $(ARGS)

test-all: install  ## every test
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

bench: install   ## speed and memory, every figure beside its target: a quarter of an hour on a quiet machine
	$(BIN)/python benchmarks/bench.py $(ARGS)

bench-all: install  ## the same, with 100,000 videos
	$(BIN)/python benchmarks/bench.py --all $(ARGS)

seeds: install   ## teacher, Uniform-k, serial and parallel over 5 seeds on the demo's sample set: an hour or so
	$(BIN)/python -m youtube8m_distill.cli.demo --output_dir=demo_seeds --seeds=5

lint: install    ## style check
	$(BIN)/pip install --quiet '.[dev]'
	$(BIN)/ruff check .

clean:           ## remove the demo's output and caches, not .venv
	rm -rf demo demo_seeds .pytest_cache build dist *.egg-info
