# Two commands for a fresh clone: `make demo` and `make test`. Everything goes into .venv and out/.
# Needed: Python 3.11 or newer with venv (Debian, Ubuntu: sudo apt-get install -y python3-venv make).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT := out
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint check-emulated schema notebooks clean
.DELETE_ON_ERROR:

help: ## say what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

# The demo has done its work when the check has made its report, whatever the report says of the forecast or of the host.
demo: $(VENV)/.base | $(OUT) ## forecast an example, serve it, check the forecast against the live server (no torch)
	@rm -f $(OUT)/demo.json $(OUT)/demo.png
	@$(BIN)/servecast forecast sentiment
	@$(BIN)/servecast check sentiment --processes 2 --duration 8s --json-file $(OUT)/demo.json --picture $(OUT)/demo.png || \
		test -s $(OUT)/demo.png

test: $(VENV)/.all ## lint, types, import contracts, all tests
	$(MAKE) --no-print-directory lint
	$(BIN)/pytest

lint: $(VENV)/.all ## lint, types and import contracts alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

check-emulated: $(VENV)/.base | $(OUT) ## how right it is: three runs each at 30, 60, 85 and 130 % of capacity
	$(BIN)/servecast check sentiment --processes 3 --repeats 3 --duration 20s --quiet \
		--json-file docs/check-emulated.json --picture docs/check-emulated.png > $(OUT)/check-emulated.txt; \
		status=$$?; cat $(OUT)/check-emulated.txt; mv $(OUT)/check-emulated.txt docs/; exit $$status

schema: $(VENV)/.base ## write docs/scenario.schema.json and docs/scenario.md anew
	$(BIN)/servecast schema > docs/.new && mv docs/.new docs/scenario.schema.json
	$(BIN)/servecast schema --reference > docs/.new && mv docs/.new docs/scenario.md

notebooks: $(VENV)/.all | $(OUT) ## run the notebooks and keep them with their outputs
	for name in $(basename $(notdir $(wildcard notebooks/*.py))); do \
		$(BIN)/jupytext --quiet --to ipynb --output $(OUT)/$$name.ipynb notebooks/$$name.py && \
		$(BIN)/jupyter-execute --inplace $(OUT)/$$name.ipynb || exit 1; \
	done

clean: ## remove everything that make made
	rm -rf $(VENV) $(OUT) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(OUT):
	@mkdir -p $(OUT)

$(VENV)/pyvenv.cfg:
	@command -v $(PYTHON) >/dev/null || { echo "servecast needs Python 3.11 or newer, and there is no $(PYTHON) here." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "servecast needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1): say make PYTHON=python3.11." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "This Python cannot make a virtual environment: sudo apt-get install -y python3-venv." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
	@echo "Installing servecast with its server into $(VENV) ..." >&2
	@$(INSTALL) --editable '.[server]'
	@touch $@

$(VENV)/.all: $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
	@echo "Installing servecast with everything into $(VENV) ..." >&2
	@$(INSTALL) --editable '.[server,torch,dev,notebooks]'
	@touch $@ $(VENV)/.base
