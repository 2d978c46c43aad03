# Everything one does with a checkout. `make demo` and `make test` need Python 3.11+, pip and make only.

CANDIDATES := python3.11 python3 python3.12 python3.13 python3.14 python
PYTHON ?= $(shell for p in $(CANDIDATES); do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
WORKERS ?= 2

.PHONY: help setup demo test check browser bench golden docs size clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 10

setup: $(STAMP)  ## make .venv and install archsim with all that tests need

demo: $(STAMP)  ## two real models on two machines, end to end
	$(VENV)/bin/archsim quickstart

# `check` has run the house test.
test: check browser  ## every test (includes check)
	$(PY) -m pytest -n $(WORKERS) --dist worksteal --ignore tests/test_house.py

check: $(STAMP)  ## format, lint, types, and the house test
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m pytest tests/test_house.py

# Tests of pages are skipped without one, and say so: this never fails.
browser:  ## Chromium for the tests of pages, where apt may install it
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
	|| { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	&& apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
	|| echo "no Chromium, and it cannot be installed here (as root: apt-get install chromium): tests of pages are skipped"

bench: $(STAMP)  ## speed against twins and bars
	$(PY) -m benchmarks

golden: $(STAMP)  ## refresh the golden numbers and the pages of reports/; prints before and after
	$(PY) tests/golden/refresh.py
	$(PY) tests/golden/test_model_graphs.py
	$(PY) tests/golden/gallery.py

docs: $(STAMP)  ## refresh the generated part of the documentation and the schemas
	$(PY) tests/docs/refresh.py

size: $(STAMP)  ## lines of each file against the budget, and the difference to main
	@$(PY) tests/test_house.py

clean:  ## remove what these targets made, .venv included
	rm -rf $(VENV) runs dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A Python without ensurepip (Debian without python3-venv) still has pip: let it fill the new venv.
$(PY):
	@test -n "$(PYTHON)" || { echo "archsim needs Python 3.11 or later: install it, or make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 \
	|| { $(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(PY) install --quiet pip; } \
	|| { rm -rf $(VENV); echo "cannot make $(VENV): on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }

$(STAMP): pyproject.toml | $(PY)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[fast,test]'
	@touch $@
