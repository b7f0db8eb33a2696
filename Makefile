# Each target makes its own virtual environment; only Python 3.11 (or later) and make are needed.
PYTHON ?= python3
VENV ?= .venv
EXTRA ?= cpu,dev
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUN ?= runs/synthetic

.PHONY: demo test verify lint clean

demo: $(READY)  ## Train and evaluate PLUM-Net on generated data; ends with a table, a run directory and a picture.
	$(BIN)/plumkeras train synthetic --output $(RUN) --overwrite
	@echo "Picture of the loss terms: $(RUN)/losses.png"

test: $(READY)  ## Every test but the long proofs.
	$(BIN)/python -m pytest -m "not verify"

verify: $(READY)  ## The long proofs too.
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed; set PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRA)]"
	touch $(READY)

clean:
	rm -rf $(VENV) runs
