# All packages are installed into .venv. Run `make` for the list of targets.

# Supported versions, in the order in which they are tried. 3.11 comes first: constraints.txt is generated with it, published
# results were computed with it, and every extra has wheels for it.
SUPPORTED := 3.11 3.12 3.13
# The interpreter to use. If empty, a .venv of any supported version is kept; if there is none, the first supported interpreter
# that is found creates it.
PYTHON ?=
# Pins the version of every dependency. If empty, the newest versions that setup.py allows are installed.
CONSTRAINTS ?= constraints.txt
# Additional arguments for the program that a target runs, as in `make test ARGS='-k netvlad'`.
ARGS ?=
# Number of inputs for each fuzz target.
RUNS ?= 10000
# Official video-level files (a glob) for `make reproduce`. If empty, videos are generated from prototypes.
VIDEO_LEVEL ?=

BIN := .venv/bin
PIP_INSTALL := $(BIN)/pip install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
# Most tests build small graphs, which keep only one core busy, so each core gets its own process.
PYTEST := $(BIN)/python -m pytest --numprocesses=auto --dist=worksteal

REPRODUCE_DIR := experiments/$(if $(VIDEO_LEVEL),semi_real,prototypes)
ifdef VIDEO_LEVEL
REPRODUCE_DATA := --from_video_level='$(VIDEO_LEVEL)' --num_train_videos=9000 --num_validate_videos=2790
REPRODUCE_FLAGS := --num_classes=3862 --about_data='Semi-real: 9000 training and 2790 validation videos whose frames are \
    synthesized around the means of real YouTube-8M videos. Not YouTube-8M itself.'
else
REPRODUCE_DATA := --num_train_videos=4000 --num_validate_videos=1250 --num_classes=100
REPRODUCE_FLAGS := --num_classes=100 --learning_rate_decay_examples=4000 --about_data='Synthetic: 4000 training and 1250 \
    validation videos made from prototypes of 100 classes. Not YouTube-8M.'
endif

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install demo tensorboard test test-all test-beam test-io check lint types format docs bench bench-all seeds \
    reproduce reproduce-mod fuzz audit lock clean

help:  ## list the targets
	@awk -F ':.*## *' '/^[a-z-]+:.*##/ {printf "  make %-12s %s\n", $$1, $$2}' Makefile

install: .venv/.installed-test  ## create .venv and install the package with its test dependencies

demo: install  ## train a teacher, a baseline, and two students on a synthetic sample set; about 10 minutes on 2 cores
	$(BIN)/yt8m demo --output_dir=demo

tensorboard: install  ## show the demo's training curves at http://localhost:6006
	$(BIN)/tensorboard --logdir=demo/runs

test: install  ## run all tests except the slow ones
	$(PYTEST) -m 'not slow' $(ARGS)

test-all: install  ## run all tests
	$(PYTEST) $(ARGS)

test-beam: .venv-beam/.installed  ## test batch prediction with Apache Beam, in an environment of its own
	.venv-beam/bin/python -m pytest tests/runs/test_beam.py tests/cli/test_beam.py tests/runs/test_record_batches.py \
	    'tests/test_docs.py::test_commands_of_a_page_run_as_written[docs/beam.md]' $(ARGS)

test-io: .venv-io/.installed  ## read s3:// through tensorflow-io, in .venv-io with Python 3.11 (or 3.12, by PYTHON=) and TensorFlow 2.16.2
	.venv-io/bin/python -m pytest tests/test_tensorflow_io.py $(ARGS)

check: lint types  ## check style, formatting, and types
	$(BIN)/ruff format --check .

lint: .venv/.installed-dev  ## check style and import order
	$(BIN)/ruff check .

types: .venv/.installed-dev  ## check types
	$(BIN)/pyright --pythonpath $(BIN)/python

format: .venv/.installed-dev  ## format the code and sort its imports
	$(BIN)/ruff check --select=I --fix .
	$(BIN)/ruff format .

docs: .venv/.installed-docs  ## build the manual in site/; open site/index.html to read it
	$(BIN)/mkdocs build --strict

bench: install  ## compare speed and memory with their targets; 15 minutes on an idle machine
	$(BIN)/python benchmarks/bench.py $(ARGS)

bench-all: install  ## run all benchmarks, including those on 100,000 videos
	$(BIN)/python benchmarks/bench.py --all $(ARGS)

seeds: install  ## compare the methods with 5 seeds on the demo's sample set; about an hour
	$(BIN)/yt8m demo --output_dir=demo_seeds --seeds=5

reproduce: .venv/.installed-reproduce  ## reproduce the papers' tables and figures at small size; about 1.5 hours (4 hours with VIDEO_LEVEL=GLOB)
	$(BIN)/yt8m synthesize --output_dir=$(REPRODUCE_DIR)/data --seed=1 --num_test_videos=0 $(REPRODUCE_DATA)
	$(BIN)/python -m reproduce all --flagfile=reproduce/small.flags --data=$(REPRODUCE_DIR)/data \
	    --output_dir=$(REPRODUCE_DIR)/out $(REPRODUCE_FLAGS) $(ARGS)

reproduce-mod: .venv/.installed-reproduce  ## reproduce the MOD paper's tables and figures at small size; about an hour
	$(BIN)/yt8m synthesize --segments --output_dir=experiments/segments/data --seed=1 --max_frames=30 --num_classes=40 \
	    --num_train_videos=1500 --num_validate_videos=1000 --num_test_videos=0 --videos_per_shard=100
	$(BIN)/python -m reproduce mod_table1 mod_table2 mod_figures34 --flagfile=reproduce/small_segments.flags \
	    --data=experiments/segments/data --num_classes=40 --output_dir=experiments/segments/out \
	    --about_data='Synthetic: 1500 training and 1000 rated videos of 40 classes. Not YouTube-8M.' $(ARGS)

fuzz: .venv/.installed-fuzz  ## fuzz the readers of records, configurations, CSV files, and archives; about a minute with RUNS=10000
	for target in records plain configs csv archives; do $(BIN)/python -m fuzz $$target -runs=$(RUNS) || exit 1; done

audit: .venv/.installed-dev  ## check the versions in constraints.txt for known vulnerabilities; needs network access
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

lock: .venv/.python  ## add new dependencies to constraints.txt; CONSTRAINTS= updates all versions
	rm -rf build/lock
	$(BIN)/python -m venv build/lock/venv
	build/lock/venv/bin/pip install --quiet --upgrade pip
	build/lock/venv/bin/pip install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) \
	    --editable '.[dev,docs,fuzz,reproduce,test]'
	build/lock/venv/bin/pip freeze --exclude-editable > build/lock/constraints.txt
	mv build/lock/constraints.txt constraints.txt
	rm -rf build/lock

clean:  ## delete the demo's output, build products, and caches; keep .venv, .venv-beam and .venv-io
	rm -rf demo demo_seeds site build dist *.egg-info .coverage htmlcov .pytest_cache .ruff_cache

# Not in constraints.txt, which pins another TensorFlow. s3fs is left out: it would read s3:// instead.
.venv-io/.installed: setup.py
	rm -rf .venv-io
	$(or $(PYTHON),python3.11) -m venv .venv-io
	.venv-io/bin/pip install --quiet --editable '.[io]' 'pytest>=8' 'hypothesis>=6.100' 'moto[s3]>=5.1' 'flask>=3' 'flask-cors>=5'
	@touch $@

.venv/.installed-%: .venv/.python setup.py $(CONSTRAINTS)
	$(PIP_INSTALL) --editable '.[$*]'
	@touch $@

# Apache Beam needs older packages than constraints.txt pins.
.venv-beam/.installed: .venv/.python setup.py constraints-beam.txt
	$(BIN)/python -m venv .venv-beam
	.venv-beam/bin/pip install --quiet --constraint constraints-beam.txt --editable '.[beam]' pytest hypothesis
	@touch $@

# Recreates .venv if its Python is not supported, does not run, or has a different version than PYTHON. The recipe always runs,
# but updates this file only if .venv is new.
.venv/.python: FORCE
	@python=; \
	version() { "$$1" -c "import $$2, sys; print('%d.%d' % sys.version_info[:2])" 2>/dev/null; }; \
	supported() { case " $(SUPPORTED) " in *" $$1 "*) ;; *) return 1 ;; esac; }; \
	current=$$(version $(BIN)/python pip); \
	if [ -n '$(PYTHON)' ]; then \
	    wanted=$$(version '$(PYTHON)' sys); \
	    [ -n "$$wanted" ] || { echo 'PYTHON=$(PYTHON): cannot run this interpreter.' >&2; exit 1; }; \
	    supported "$$wanted" || { echo "PYTHON=$(PYTHON): Python $$wanted is not supported. Supported versions: $(SUPPORTED)." >&2; exit 1; }; \
	    if [ "$$current" != "$$wanted" ]; then python='$(PYTHON)'; fi; \
	elif ! supported "$$current"; then \
	    for name in $(addprefix python,$(SUPPORTED)) python3; do \
	        if supported "$$(version $$name ensurepip)"; then python=$$name; break; fi; \
	    done; \
	    [ -n "$$python" ] || { echo 'No supported Python ($(SUPPORTED)) with the venv module was found. Install one, or name it: make PYTHON=/path/to/python.' >&2; exit 1; }; \
	    default=$$(version python3 sys); \
	    supported "$$default" || [ -z "$$default" ] || echo "python3 is Python $$default, which is not supported; using $$python."; \
	fi; \
	if [ -n "$$python" ]; then \
	    echo "Creating .venv with $$python."; \
	    rm -rf .venv && "$$python" -m venv .venv && $(BIN)/pip install --quiet --upgrade pip && touch $@; \
	elif [ ! -e $@ ]; then \
	    touch $@; \
	fi

FORCE:
