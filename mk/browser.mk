# A headless Chromium for the tests that look at pages, pinned in tests/support/chromium.py. Where it cannot be had,
# make goes on: those tests use the system's, or are skipped with a reason.
.PHONY: browser
browser: .tools/chromium/.done
.tools/chromium/.done: tests/support/chromium.py | .venv/.done
	@$(BIN)/python -m tests.support.chromium .tools/chromium
