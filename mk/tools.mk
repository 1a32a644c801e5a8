# Tools whose pins conflict with ours, or with each other's, live in environments of their own under .tools/.
# Each is made from a lock file with hashes; requirements/NAME.in says why the tool is there. To resolve a lock again:
#     make lock-NAME
# uv's settings in pyproject.toml (overrides) are for the project's own environment, and no tool's: --no-config.
UV ?= .venv/bin/uv
TOOLS := sam moto lint alibaba azure gcp container ray endpoint-clients
PEERS := bench-shrink-simplify bench-shrink-tune bench-shrink-olive bench-batch
SERVERS := bench-serve bench-fallback bench-fallback-bentoml bench-fallback-mlserver
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif

.PHONY: tools peers $(TOOLS:%=lock-%) $(PEERS:%=lock-%) $(SERVERS:%=lock-%) lock-endpoint lock-fallback
tools: $(TOOLS:%=.tools/%/.done)

# The benchmark goes on without a peer that cannot be installed, and says why: what uv said stays in .tools/NAME.why.
peers: | .venv/.done
	@for name in $(PEERS); do \
	  $(MAKE) --no-print-directory --silent .tools/$$name/.done 2>.tools/$$name.why || rm -rf .tools/$$name; done

.tools/%/.done: requirements/%.txt | .venv/.done
	rm -rf .tools/$*
	$(UV) venv --quiet --python .venv/bin/python .tools/$*
	$(UV) pip install --no-config --quiet --require-hashes --python .tools/$*/bin/python -r $<
	touch $@

$(TOOLS:%=lock-%) $(PEERS:%=lock-%) $(SERVERS:%=lock-%): lock-%: | .venv/.done
	$(UV) pip compile --no-config --quiet --python-version 3.11 --universal --generate-hashes requirements/$*.in -o requirements/$*.txt

# What the images of endpoints install: Python 3.12 is the one of their base.
lock-endpoint: | .venv/.done
	cd templates/endpoint && for kind in gpu cpu; do \
	  ../../$(UV) pip compile --no-config --quiet --python-version 3.12 --python-platform x86_64-manylinux_2_39 --generate-hashes \
	    requirements-$$kind.in -o requirements-$$kind.txt; done

# What functions bring that prove to an endpoint who they are.
lock-fallback: | .venv/.done
	cd packager/coldpress/bundle/locks && for kind in aws azure google; do \
	  ../../../../$(UV) pip compile --no-config --quiet --python-version 3.12 --universal --generate-hashes \
	    fallback-$$kind.in -o fallback-$$kind.txt; done
