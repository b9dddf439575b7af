# Every tool is run by one Python: `make check PYTHON=.venv/bin/python` uses that environment, active or not.
# What they need: pip install -e '.[dev]'
PYTHON ?= python

.DEFAULT_GOAL := help
.PHONY: help format check test cards nightly

help:
	@echo "make format   put all code into its form"
	@echo "make check    form, lint, types, floors, and whether the cards are up to date"
	@echo "make test     all tests but the nightly ones"
	@echo "make cards    write MODEL_CARDS.md and the models' cards anew from what they derive from"
	@echo "make nightly  the long tests"

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

check:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"
	$(PYTHON) -m ganzoo cards --check

test:
	$(PYTHON) -m pytest

cards:
	$(PYTHON) -m ganzoo cards

nightly:
	$(PYTHON) -m pytest -m nightly
