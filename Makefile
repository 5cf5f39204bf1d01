# make demo    sets everything up and paints a picture
# make test    sets everything up and passes the tests
# make book    sets everything up and builds the book into docs/_build/html
# make book-whole  computes, too, what `make book` left over to be done in minutes after a change of the package
# make book-pdf  prints it into docs/_build/handstyle.pdf, with a Chromium that is installed
# make notebook  writes its chapters as Jupyter notebooks into docs/_build/notebooks
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SPHINX = $(BIN)/sphinx-build -W -n --keep-going -q -j auto -b html docs docs/_build/html
# Real weights and pictures for the tests that want them; they skip, with a reason, where there are none.
HANDSTYLE_TEST_DATA ?= $(abspath $(wildcard ../shared))
export HANDSTYLE_TEST_DATA

.PHONY: demo test lint types smoke book book-whole book-pdf notebook clean

demo: $(VENV)/installed
	$(BIN)/handstyle demo

test: $(VENV)/tested
	$(BIN)/python -m pytest $(COVERAGE)

lint: $(VENV)/linted
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/linted
	$(BIN)/mypy

book: $(VENV)/booked
	BOOK_FIRST=1 $(SPHINX)
	@if [ -f docs/_build/left_over.txt ]; then echo "left over, and marked:"; cat docs/_build/left_over.txt; fi
	@echo "the book is in docs/_build/html/index.html"

book-whole: $(VENV)/booked
	$(SPHINX)

book-pdf: book-whole
	$(BIN)/python -m pip install --quiet --group pdf
	$(BIN)/python docs/book_pdf.py docs/_build/html docs/_build/handstyle.pdf

notebook:
	$(PYTHON) docs/notebooks.py docs/_build/notebooks

# The wheel as a stranger gets it: installed in an environment of its own, tested from outside the checkout.
smoke: $(VENV)/tested
	rm -rf dist && $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	rm -rf $(VENV)/smoke && $(PYTHON) -m venv $(VENV)/smoke
	$(VENV)/smoke/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(VENV)/smoke/bin/python -m pip install --quiet dist/*.whl --group test
	outside=$$(mktemp -d) && cp -r tests pyproject.toml $$outside && \
	$(BIN)/python docs/notebooks.py $$outside/notebooks network/convolution painting/color && here=$$PWD && cd $$outside && \
	$$here/$(VENV)/smoke/bin/python -m pytest -m smoke --ignore=tests/docs; status=$$?; rm -rf $$outside; exit $$status

# Each stamp stands for what is installed, and is older than pyproject.toml when that has changed.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[weights,report]"
	touch $@

$(VENV)/tested: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group test
	touch $@

$(VENV)/linted: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group lint
	touch $@

$(VENV)/booked: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

clean:
	rm -rf $(VENV) dist build docs/_build docs/_generated
