# Tools whose pins conflict with ours, or with each other's, live in environments of their own under .tools/.
# Each is made from a lock file with hashes; requirements/NAME.in says why the tool is there. To resolve a lock again:
#     make lock-NAME
UV ?= .venv/bin/uv
TOOLS := sam moto lint

.PHONY: tools $(TOOLS:%=lock-%)
tools: $(TOOLS:%=.tools/%/.done)

.tools/%/.done: requirements/%.txt | .venv/.done
	rm -rf .tools/$*
	$(UV) venv --quiet --python .venv/bin/python .tools/$*
	$(UV) pip install --quiet --require-hashes --python .tools/$*/bin/python -r $<
	touch $@

$(TOOLS:%=lock-%): lock-%: | .venv/.done
	$(UV) pip compile --quiet --python-version 3.11 --universal --generate-hashes requirements/$*.in -o requirements/$*.txt
