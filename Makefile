# All set-up is done here: only Python 3.11 with venv, and make, are needed;
# for test-oldest, Python 3.10 where there is one.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BACKEND ?= tensorflow jax torch
BIN = $(VENV)/bin
OLDEST_PYTHON ?= $(shell \
  PYENV_VERSION=3.10 python3.10 -c "import sys; print(sys.executable)" \
  2>/dev/null || echo $(PYTHON))
OLDEST_VENV ?= .venv-oldest
OLDEST_PIP = $(OLDEST_VENV)/bin/pip install --quiet \
  --constraint constraints-oldest.txt
BENCH_VENV ?= .venv-bench
BENCH_PIP = $(BENCH_VENV)/bin/pip install --quiet --constraint constraints.txt
OLDEST_TESTS ?= tests/test_battery.py tests/masking tests/test_conversion.py
OLDEST = $(BACKEND:%=test-oldest-%)
PIP = $(BIN)/pip install --quiet --constraint constraints.txt
TESTS = $(BACKEND:%=test-%)

.PHONY: demo docs test $(TESTS) test-oldest $(OLDEST) bench lint format clean
.DELETE_ON_ERROR:

# The main job, minutes on two cores: TensorFlow alone is enough for it.
demo: $(VENV)/.demo
	KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 \
	  $(BIN)/python recipes/adversarial_vgg16.py

# The suite, once a backend, each in a process of its own, two at a time; what
# is the same on all of them with the last, PyTorch, the quickest. What one
# prints is kept together, but by the make of macOS, which is too old.
NOT_ONCE = $(if $(filter $*,$(lastword $(BACKEND))),,-m "not once")
SYNC = $(if $(filter output-sync,$(.FEATURES)),--output-sync)
test: $(VENV)/.dev
	@echo "== tests on $(BACKEND): each is shown when it has ended"
	@$(MAKE) --no-print-directory --keep-going --jobs=2 $(SYNC) $(TESTS)

$(TESTS): test-%: $(VENV)/.dev
	@echo "== tests on $*"
	@KERAS_BACKEND=$* $(BIN)/python -m pytest $(NOT_ONCE)

# The core on the oldest of all that it runs on, in an environment of its own.
# No compilation cache: what JAX 0.4.35 reads from one trains in the memory of
# NumPy arrays that were assigned to weights.
test-oldest: $(BACKEND:%=$(OLDEST_VENV)/.%)
	@echo "== oldest tests on $(BACKEND): each is shown when it has ended"
	@$(MAKE) --no-print-directory --keep-going --jobs=2 $(SYNC) $(OLDEST)

$(OLDEST): test-oldest-%: $(OLDEST_VENV)/.%
	@echo "== oldest tests on $*"
	@KERAS_BACKEND=$* JAX_ENABLE_COMPILATION_CACHE=false \
	  $(OLDEST_VENV)/bin/python -m pytest $(NOT_ONCE) $(OLDEST_TESTS)

# What this package costs against its peers, into results/bench/, half an hour on
# two quiet cores. ONLY="el2n corruptions", BACKEND=jax and QUICK=1 do less.
bench: $(BENCH_VENV)/.peers
	@QUICK=$(QUICK) $(BENCH_VENV)/bin/python -m tools.bench $(ONLY) \
	  --backends $(BACKEND)

# The documentation, in site/: strict, so a broken link or name fails.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

lint: $(VENV)/.ruff
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/.ruff
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.ruff: $(VENV)/.made constraints.txt
	$(PIP) ruff
	touch $@

$(VENV)/.docs: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) mkdocs-material "mkdocstrings[python]"
	touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) --editable ".[tensorflow,vision,plot]"
	touch $@

# torch first, by itself: what depends on it would else bring in another build.
# imagecorruptions without what it asks for: opencv-python, a second owner of cv2.
$(VENV)/.dev: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) torch
	$(PIP) --editable ".[all,dev]"
	$(PIP) --no-deps imagecorruptions-imaug
	touch $@

# In an environment of its own, which peers may clutter; torch first, as above.
$(BENCH_VENV)/.made: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_PIP) torch
	$(BENCH_PIP) --editable ".[tensorflow,jax,torch,vision,corruptions,fast]"
	touch $@

# What does not install is listed, and the rest measured without it.
$(BENCH_VENV)/.peers: $(BENCH_VENV)/.made tools/bench/peers.py
	$(BENCH_VENV)/bin/python -m tools.bench.peers
	touch $@

# A backend by itself: the extra `tensorflow` is for TFLite, too.
$(OLDEST_VENV)/.made: pyproject.toml constraints-oldest.txt
	$(OLDEST_PYTHON) -m venv $(OLDEST_VENV)
	$(OLDEST_PIP) --editable . hypothesis pytest
	touch $@

$(BACKEND:%=$(OLDEST_VENV)/.%): $(OLDEST_VENV)/.made
	$(OLDEST_PIP) $(@F:.%=%)
	touch $@

clean:
	rm -rf $(VENV) $(OLDEST_VENV) $(BENCH_VENV) build site dist *.egg-info .pytest_cache .ruff_cache .hypothesis
