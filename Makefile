# CPU-only Linux: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
PYTHON ?= python3
TORCH_INDEX ?=
HOURS ?= 2
SCRIPTS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := .venv/$(SCRIPTS)
READY := .venv/.ready
OLDEST := .venv-oldest
# One thread for each of the workers: they would wait for each other's.
TESTS := -n auto --maxprocesses 4 --dist worksteal -m "not slow and not web"
STYLED := deblur tests benchmarks scripts examples browser/serve.py train.py eval.py
DEMO := runs/demo/$(shell date +%Y-%m-%d_%H-%M-%S)

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*##/ {printf "%-12s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

# $(1): the folder of the environment; $(2): pip's constraints.
define environment
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
@echo "setting up $(1): a download of up to 3 GB, a few minutes"
test -x $(1)/$(SCRIPTS)/python || $(PYTHON) -m venv $(1)
$(if $(TORCH_INDEX),$(1)/$(SCRIPTS)/python -m pip install $(2) --index-url $(TORCH_INDEX) torch torchvision)
$(1)/$(SCRIPTS)/python -m pip install --quiet $(2) --editable '.[dev,docs]'
touch $@
endef

$(READY): setup.cfg pyproject.toml
	$(call environment,.venv,)

$(OLDEST)/.ready: setup.cfg pyproject.toml tests/oldest.txt
	$(call environment,$(OLDEST),--constraint tests/oldest.txt)

install: $(READY)  ## make or refresh .venv

demo: $(READY)  ## train a small GAN on the built-in photos, measure it, show where to look
	$(BIN)/python train.py experiment=quick hydra.run.dir=$(DEMO)
	$(BIN)/python eval.py ckpt=$(DEMO)/generator.safetensors hydra.run.dir=$(DEMO)/eval
	@echo "before/after: $(DEMO)/eval/sheet.png, with all figures: $(DEMO)/eval/report.html"
	@echo "TensorBoard: $(BIN)/tensorboard --logdir $(DEMO)"

test: $(READY) lint  ## lint, types and tests, but for those that train for long
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(TESTS)

test-slow: $(READY)  ## the tests that train for long: stopped runs, several devices, sweeps
	$(BIN)/python -m pytest -m "slow and not web"

test-web: $(READY)  ## test the pages in a headless Chromium
	scripts/install_chromium.sh
	$(BIN)/python -m pytest -rs -m web

test-server: $(READY)  ## the Dockerfile's steps without Docker, in build/server: install, start, ask
	TORCH='$(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch torchvision' \
		scripts/install_server.sh build/server check

test-oldest: $(OLDEST)/.ready  ## as test, but with the lowest versions that setup.cfg allows
	OMP_NUM_THREADS=1 $(OLDEST)/$(SCRIPTS)/python -m pytest $(TESTS)

oldest: $(READY)  ## write tests/oldest.txt anew, after a change of setup.cfg
	$(BIN)/uv pip compile --quiet setup.cfg --extra dev --extra docs --python-version 3.11 --upgrade \
		--resolution lowest-direct --no-annotate --no-emit-package deblur-lightning -o tests/oldest.txt

test-all: test test-slow test-web test-server  ## all of them, as CI does

lint: $(READY)  ## style and types, and the Dockerfile
	$(BIN)/black --quiet --check --line-length 100 $(STYLED)
	$(BIN)/isort --quiet --check $(STYLED)
	$(BIN)/flake8 $(STYLED)
	$(BIN)/hadolint Dockerfile
	$(BIN)/mypy

format: $(READY)  ## rewrite the code in the project's style
	$(BIN)/black --quiet --line-length 100 $(STYLED)
	$(BIN)/isort --quiet $(STYLED)

bench: $(READY)  ## speed of restoring, training, making blur, scoring; how time and memory grow
	$(BIN)/python benchmarks/inference.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/restoring.py
	$(BIN)/python benchmarks/growth.py build/growth.png

browser: $(READY)  ## build the page that restores in the browser into dist/browser/, by npm
	$(BIN)/python scripts/build_browser.py dist/browser

dist: $(READY)  ## build the source archive and the wheel into dist/, and check them
	rm -rf build/lib build/bdist* dist/*.whl dist/*.tar.gz
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz

soak-resume: $(READY)  ## kill and resume a run 20 times, compare it with an uninterrupted one
	$(BIN)/python benchmarks/soak_resume.py

soak: $(READY)  ## train for HOURS with a fault every few minutes
	$(BIN)/python benchmarks/soak.py --hours $(HOURS)

docs: $(READY)  ## build the documentation site into build/docs/, and check its links
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir build/docs
	@echo "open build/docs/index.html"

figures: $(READY)  ## draw the paper's Figures 1 to 3, sheets of blur and of what the models do
	$(BIN)/python scripts/figures.py docs/figures
	$(BIN)/python scripts/blur_sheet.py docs/figures
	$(BIN)/python scripts/draw_restored.py docs/figures

.PHONY: help install demo test test-slow test-web test-server test-oldest oldest test-all lint format bench dist
.PHONY: browser soak-resume soak docs figures
