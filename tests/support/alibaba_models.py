"""Names in ``s.yaml`` held against Alibaba Cloud's own SDK models; runs in the environment ``.tools/alibaba``.

Reads a JSON list of ``[model, document]`` from stdin and writes, for each, the names that the model does not have: what
a model does not know is lost on the way through it.
"""

import inspect
import json
import sys

from alibabacloud_fc20230330 import models


def lost(given: object, kept: object, path: str = "") -> list[str]:
    """Return the paths of what is in ``given`` and not in ``kept``."""
    if isinstance(given, dict):
        there = kept if isinstance(kept, dict) else {}
        return [
            name
            for key, value in given.items()
            for name in ([f"{path}{key}"] if key not in there else lost(value, there[key], f"{path}{key}."))
        ]
    if isinstance(given, list):
        there = kept if isinstance(kept, list) and len(kept) == len(given) else [None] * len(given)
        return [name for i, value in enumerate(given) for name in lost(value, there[i], f"{path}{i}.")]
    return [] if given == kept else [f"{path}={given!r}"]


def main() -> None:
    """Answer the question on stdin."""
    answers = []
    for name, document in json.load(sys.stdin):
        model = getattr(models, name)
        answers.append({"lost": lost(document, model().from_map(document).to_map()), "says": inspect.getsource(model)})
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
