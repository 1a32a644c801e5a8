"""`python -m benchmarks.shrink [--only a,b] [--peers a,b] [--out FILE]`."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import readme
from benchmarks.shrink.cases import CASES
from benchmarks.shrink.report import markdown, rows
from benchmarks.shrink.run import run
from benchmarks.shrink.tools import PEERS
from coldpress.console import say
from coldpress.errors import PackError

HERE = Path(__file__).parent
TITLE = "What `make bench-shrink` measured"


def joined(earlier: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Return ``document`` with the models of an ``earlier`` run that it lacks, if that was of the same kind.

    A model is measured beside its own peers alone, so runs can be put together where machine, engine and peers agree.
    """
    if any(earlier[key] != document[key] for key in ("machine", "engine", "peers")):
        return document
    models = earlier["models"] | document["models"]
    seconds = earlier["seconds"] if set(earlier["models"]) > set(document["models"]) else document["seconds"]
    return document | {"models": {name: models[name] for name in CASES if name in models}, "seconds": seconds}


def main() -> int:
    """Measure, write results.json and results.md, fill in the README, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shrink", description=__doc__)
    parser.add_argument("--only", default=",".join(CASES), help="models, comma-separated; the others' results stay")
    parser.add_argument("--peers", default=",".join(PEERS), help="comma-separated; empty for none")
    parser.add_argument("--out", type=Path, help="write the JSON here, and leave results.* alone")
    args = parser.parse_args()
    names, peers = (list(filter(None, text.split(","))) for text in (args.only, args.peers))
    for given, known in ((names, CASES), (peers, PEERS)):
        if unknown := [name for name in given if name not in known]:
            parser.error(f"{unknown[0]!r} is not known; there are {', '.join(known)}")
    try:
        document = run(names, peers)
    except PackError as error:
        say(f"benchmarks: {error}")
        return 1
    results = args.out or HERE / "results.json"
    if results.exists():
        document = joined(json.loads(results.read_text(encoding="utf-8")), document)
    whole = list(document["models"]) == list(CASES) and peers == list(PEERS)
    readme.publish(document, markdown(document), rows(document), HERE, title=TITLE, whole=whole, out=args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
