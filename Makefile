# From a machine with make and Python 3.11 (from 3.11.4) or 3.12 to a result in one command: every target installs what it needs, once.
# Another Python: make test PYTHON=python3.12      Some of the tests: make test ARGS="tests/local_aws -k list_rule"

BIN := .venv/bin
INSTALL = PYTHON='$(PYTHON)' requirements/install.sh

.PHONY: help demo test test-long test-image lint golden bench bench-accuracy bench-partner check fix lock clean install-demo install-dev install-bench install-test-image
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' Makefile

demo: install-demo ## run examples/cdnow end to end on the embedded AWS: no account, no Docker
	@$(BIN)/pseg run examples/cdnow

test: install-dev ## run the tests
	@OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

# The rooms that run in containers, and the laws about them: on the libraries of AWS's image, not on today's.
IMAGE_ROOMS = contracts clean_rooms processing training inference activation insights
IMAGE_TESTS = $(wildcard $(IMAGE_ROOMS:%=tests/unit/%)) tests/properties tests/oracle tests/bundle

test-long: install-bench ## truth, fuzz and scale: what takes minutes; figures go to docs/evidence.md
	@OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -q -m long --timeout 3600 -s $(ARGS)

test-image: install-test-image ## run the container rooms' tests on the versions of AWS's XGBoost image
	@OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE .venv-image/bin/python -m pytest -q $(or $(ARGS),$(IMAGE_TESTS))

lint: install-dev ## formatting, lint rules, types, and who may import whom
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

golden: install-dev ## rewrite the golden files; look at the difference before you commit it
	@REWRITE_GOLDEN=1 $(BIN)/python -m pytest -q tests/golden

bench: install-dev ## our steps beside the bare engines at 1M customers x 50 features (some minutes)
	@$(BIN)/python -m tests.benchmarks.scale $(ARGS)

bench-partner: install-dev ## the partner kit at 10M rows: seconds, rows a second, peak memory
	@OMP_NUM_THREADS=2 $(BIN)/python -m tests.benchmarks.partner_kit $(ARGS)

bench-accuracy: install-bench ## our models beside LightGBM, CatBoost and others where the truth, or what happened, is known
	@OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m tests.benchmarks.accuracy $(ARGS)

check: lint test ## lint and test: what every commit must pass

fix: install-dev ## format, and mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

install-demo install-dev install-bench install-test-image: install-%:
	@$(INSTALL) $*

install-bench: install-dev

# The dev lock comes first and holds the others to its versions: what the tests ran is what the demo and the images run.
COMPILE = .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11.4 --fork-strategy fewest \
	--generate-hashes --no-annotate --no-header $(if $(UPGRADE),--upgrade)
IMAGE_PINS = numpy|pandas|pyarrow|scikit-learn|scipy
COMPILE_LIKE_DEV = $(COMPILE) --constraint requirements/dev.lock

lock: ## write the locks again from pyproject.toml; with UPGRADE=1 take newer releases
	@[ -x .venv-lock/bin/uv ] || { python3 -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet uv==0.13.9; }
	$(COMPILE) pyproject.toml --extra dev --output-file requirements/dev.lock
	$(COMPILE_LIKE_DEV) pyproject.toml --extra bench --output-file requirements/bench.lock
	$(COMPILE_LIKE_DEV) pyproject.toml --extra demo --output-file requirements/demo.lock
	$(COMPILE_LIKE_DEV) pyproject.toml --extra partner --output-file requirements/partner.lock
	$(COMPILE_LIKE_DEV) pyproject.toml --extra image --output-file requirements/image.lock
	grep -oE '^[a-z0-9.-]+==[^ ]+' requirements/dev.lock | grep -vE '^($(IMAGE_PINS))==' > .venv-lock/like-dev.txt
	$(COMPILE) --constraint .venv-lock/like-dev.txt pyproject.toml --extra test-image --output-file requirements/test-image.lock
	$(COMPILE_LIKE_DEV) --group installer --output-file requirements/installer.lock

clean: ## stop the embedded AWS, remove .venv, caches and outputs
	@[ ! -x $(BIN)/pseg ] || $(BIN)/pseg local down
	rm -rf .venv .venv-image .venv-lock .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	rm -rf examples/*/output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
