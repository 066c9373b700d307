# Every target installs what it needs into .venv; nothing outside this folder is touched.
PYTHON ?= python3
BIN := .venv/bin
# Most tests build small graphs, which keeps one core busy: a process for each.
PARALLEL := --numprocesses=auto --dist=worksteal
# Exact versions of all that is installed. Empty takes the newest that setup.py allows.
CONSTRAINTS ?= constraints.txt
PIP_INSTALL := $(BIN)/pip install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
# Official video-level files (a glob) whose means the experiments' videos are made around; prototypes where it is empty.
VIDEO_LEVEL ?=
EXPERIMENT := experiments/$(if $(VIDEO_LEVEL),semi_real,prototypes)
EXPERIMENT_SET := $(if $(VIDEO_LEVEL),--from_video_level='$(VIDEO_LEVEL)' --num_train_videos=9000 \
    --num_validate_videos=2790,--num_train_videos=4000 --num_validate_videos=1250 --num_classes=100)
EXPERIMENT_FLAGS := $(if $(VIDEO_LEVEL),--num_classes=3862 --about_data='Semi-real: 9000 training and 2790 validation \
    videos whose frames are synthesized around the means of real YouTube-8M videos. Not YouTube-8M itself.',--num_classes=100 \
    --learning_rate_decay_examples=4000 --about_data='Synthetic: 4000 training and 1250 validation videos \
    made from prototypes of 100 classes. Not YouTube-8M.')
# Inputs for each target of the fuzzer.
RUNS ?= 10000

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all lint clean tensorboard seeds bench bench-all fuzz lock audit experiments

help:            ## list the targets
	@awk -F ':.*## *' '/^[a-z-]+:.*##/ {printf "  make %-14s %s\n", $$1, $$2}' Makefile

install: .venv/.installed  ## make .venv and install the package with its test tools

.venv/.installed: setup.py $(CONSTRAINTS)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(PIP_INSTALL) --editable '.[test]'
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

experiments: install  ## the papers' tables, figures and findings at small size: about an hour; with VIDEO_LEVEL=GLOB around real means: 3 hours
	$(BIN)/python -m youtube8m_distill.cli.synthesize --output_dir=$(EXPERIMENT)/data --seed=1 --num_test_videos=0 \
	    $(EXPERIMENT_SET)
	$(BIN)/python -m reproduce all --flagfile=reproduce/small.flags \
	    --data=$(EXPERIMENT)/data --output_dir=$(EXPERIMENT)/out $(EXPERIMENT_FLAGS) $(ARGS)

fuzz: install    ## atheris on records, configurations, CSV and archives: RUNS=10000 inputs each, a minute or so
	$(PIP_INSTALL) --editable '.[fuzz]'
	for target in records configs csv archives; do $(BIN)/python -m fuzz $$target -runs=$(RUNS) || exit 1; done

lint: install    ## style check
	$(PIP_INSTALL) --editable '.[dev]'
	$(BIN)/ruff check .

audit: install   ## known vulnerabilities of the locked versions; asks pypi.org
	$(PIP_INSTALL) --editable '.[dev]'
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

lock:            ## write constraints.txt anew: the newest versions that setup.py allows, in a new environment
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --upgrade pip
	build/lock/bin/pip install --quiet --editable '.[test,dev,fuzz]'
	build/lock/bin/pip freeze --exclude-editable > build/constraints.txt
	mv build/constraints.txt constraints.txt
	rm -rf build/lock

clean:           ## remove the demo's output and caches, not .venv
	rm -rf demo demo_seeds .pytest_cache build dist *.egg-info
