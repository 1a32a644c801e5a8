# Serverless Devs' own reader of s.yaml, for the tests of Alibaba's templates. To resolve its lock again:
#     make lock-serverless-devs
# Where it cannot be had, make goes on: those tests are skipped with a reason.
.PHONY: serverless-devs lock-serverless-devs
serverless-devs: .tools/serverless-devs/.done
.tools/serverless-devs/.done: requirements/serverless-devs/package.json requirements/serverless-devs/package-lock.json
	@rm -rf .tools/serverless-devs && mkdir -p .tools/serverless-devs && cp $^ .tools/serverless-devs/
	@cd .tools/serverless-devs && if npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >npm.log 2>&1; \
	then touch .done; else echo "no Serverless Devs for the tests of s.yaml: $$(tail -n 1 npm.log)" >&2; fi

lock-serverless-devs:
	cd requirements/serverless-devs && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund
