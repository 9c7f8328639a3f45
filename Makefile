# Everything below sets itself up in .venv; the machine needs Python 3.11 to 3.13, git and make.
#   make demo     server and client on the bundled demo model, shown at work (installs no torch)
#   make setup    all distributions, editable, and the tools for work on them
#   make serve    a server; ARGS="--model DIR" and other options are passed on
#   make test     the tests; ARGS="tests/server -x" and other pytest options are passed on
#   make lint     ruff, mypy, and linters of Dockerfile, protocol, scripts and deploy/
#   make bench    a short form of the benchmarks; their long form: .venv/bin/python -m benchmarks
#   make protos   the Python stubs, after a change to a .proto
#   make pins     constraints*.txt, after a change to a dependency
#   make clean    removes what the others made, .venv too

PYTHON ?= python3
ARGS ?=

# ONNX Runtime reports its use to Microsoft unless told not to.
export ORT_DISABLE_TELEMETRY := 1

BIN := .venv/bin
# Builds are pinned too: the constraints hold for their own, isolated environments.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--constraint constraints.txt --build-constraint constraints.txt

PROTOS := protos
RUNTIME := runtime
SERVER := server
CLIENT := clients/python
ARCHIVE := archive
EXPORT := export

RUN_PYPROJECTS := $(addsuffix /pyproject.toml,protos runtime server clients/python)
ALL_PYPROJECTS := $(RUN_PYPROJECTS) archive/pyproject.toml export/pyproject.toml pyproject.toml

.PHONY: demo setup serve test lint bench protos pins clean

demo: .venv/run.stamp
	$(BIN)/python scripts/demo.py

serve: .venv/run.stamp
	exec $(BIN)/emotion2vec-server $(ARGS)

setup: .venv/all.stamp

test: .venv/all.stamp
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 $(ARGS)

lint: .venv/all.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy scripts protos/generate.py benchmarks --exclude 'benchmarks/peers/'
	$(BIN)/hadolint Dockerfile
	$(BIN)/buf lint protos
	$(BIN)/shellcheck .ci/run
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml
	$(BIN)/kubernetes-validate --strict --quiet deploy/kubernetes.yaml

bench: .venv/all.stamp
	$(BIN)/python -m benchmarks --short $(ARGS)

protos: .venv/pip.stamp
	$(BIN)/python protos/generate.py

pins: .venv/all.stamp
	$(BIN)/python scripts/pin.py $(ARGS)

clean:
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
		echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); Python 3.11 to 3.13 is needed:" \
		"name one, as in 'make PYTHON=python3.12 $(MAKECMDGOALS)'" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/pip.stamp: constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	@touch $@

.venv/run.stamp: .venv/pip.stamp $(RUN_PYPROJECTS)
	@echo "Installing the server and the client into .venv"
	$(PIP_INSTALL) --editable $(PROTOS) --editable '$(RUNTIME)[cpu]' --editable '$(SERVER)[plot]' \
		--editable $(CLIENT)
	@touch $@

.venv/all.stamp: .venv/pip.stamp $(ALL_PYPROJECTS)
	@echo "Installing all distributions and the tools into .venv (some minutes the first time)"
	$(PIP_INSTALL) --editable $(PROTOS) --editable '$(RUNTIME)[cpu]' --editable '$(SERVER)[plot,silero]' \
		--editable '$(CLIENT)[plot,live]' --editable '$(ARCHIVE)[s3]' --editable $(EXPORT) \
		--group dev
	@touch $@ .venv/run.stamp
