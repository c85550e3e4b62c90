# GNU make 3.81 or newer. `make compare` is all that a fresh machine with Python 3.11+ needs.
PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	if $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$p; break; fi; done)
MACHINE := $(shell uname -sm)
STAMP := .venv/.installed
RUN := PATH="$(CURDIR)/.venv/bin:$$PATH" MLFLOW_DISABLE_TELEMETRY=true

.PHONY: compare install mambavision test faults browser lint ui app clean

compare: install
	$(RUN) mlflow run . -e compare --env-manager local --run-name compare $(ARGS)

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
ifeq ($(MACHINE),Darwin x86_64)
	@echo "Intel Macs are not supported: PyTorch publishes no wheels for them; use Linux or Apple silicon." >&2; exit 1
endif
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with its venv module is needed; install it (Debian: apt install python3 python3-venv) and run make again." >&2; exit 1; }
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	@touch $(STAMP)

# Without its pins, which ask for old versions of half of the environment; see docs/mambavision.md.
mambavision: install
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt mambavision einops

test: install
	.venv/bin/python -m pytest -n 2 $(ARGS)

# Kills at random moments, full disks, damaged files, servers that go away (docs/servers.md): minutes. The environment
# variable FAULT_KILLS says how many kills (20).
faults: install
	.venv/bin/python -m pytest -m "faults or servers" tests/faults $(ARGS)

# The app in Debian's chromium, on a store made by the quickstart suite: minutes.
browser: install
	.venv/bin/python -m pytest -m browser tests/apps $(ARGS)

lint: install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

ui: install
	@case "$$MLFLOW_TRACKING_URI" in http*) echo "The runs are on a server: open $$MLFLOW_TRACKING_URI in a browser."; exit 1;; esac
	$(RUN) MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --workers 1 --host 127.0.0.1 --port 5000 \
		--backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}"

app: install
	$(RUN) streamlit run apps/app.py --server.address 127.0.0.1

clean:
	rm -rf .venv .cache build *.egg-info
