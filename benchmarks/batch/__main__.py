"""`python -m benchmarks.batch [--quick] [--only a,b] [--out FILE]`."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks import readme
from benchmarks.batch.report import markdown, rows
from benchmarks.batch.run import PARTS, run
from coldpress.console import say
from coldpress.errors import PackError

HERE = Path(__file__).parent
TITLE = "What `make bench-batch` measured"


def main() -> int:
    """Measure, write results.json and results.md, fill in the README, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1 round of small files: a trial, written nowhere")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, comma-separated; the others' results stay")
    parser.add_argument("--out", type=Path, help="write the JSON here, and leave results.* and the README alone")
    args = parser.parse_args()
    parts = args.only.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"{unknown[0]!r} is not known; there are {', '.join(PARTS)}")
    results = HERE / "results.json"
    earlier = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    try:
        document = earlier | run(*((0.02, 1) if args.quick else (1, 3)), parts)
    except PackError as error:
        say(f"benchmarks: {error}")
        return 1
    except subprocess.CalledProcessError as error:
        say(f"benchmarks: {error.args[1][:4]} failed: {error.stderr[-2000:]}")
        return 1
    whole = not args.quick
    readme.publish(document, markdown(document), rows(document), HERE, title=TITLE, whole=whole, out=args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
