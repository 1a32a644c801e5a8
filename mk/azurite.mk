# Azurite, Microsoft's own stand-in for Azure Storage, for the tests of what is uploaded. To resolve its lock again:
#     make lock-azurite
# Where it cannot be had, make goes on: those tests are skipped with a reason.
.PHONY: azurite lock-azurite
azurite: .tools/azurite/.done
.tools/azurite/.done: requirements/azurite/package.json requirements/azurite/package-lock.json
	@rm -rf .tools/azurite && mkdir -p .tools/azurite && cp $^ .tools/azurite/
	@cd .tools/azurite && if npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >npm.log 2>&1; \
	then touch .done; else echo "no Azurite for the tests of uploads: $$(tail -n 1 npm.log)" >&2; fi

lock-azurite:
	cd requirements/azurite && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund
