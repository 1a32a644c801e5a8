"""`python -m benchmarks.serve [--quick] [--models a,b] [--python PATH] [--out FILE]`."""

import argparse
import sys
from pathlib import Path

from benchmarks import readme
from benchmarks.cases import CASES
from benchmarks.serve.report import markdown, rows
from benchmarks.serve.run import run
from coldpress.console import say
from coldpress.errors import PackError

HERE = Path(__file__).parent
TITLE = "What `make bench-serve` measured"


def main() -> int:
    """Measure, write results.json and results.md, fill in the README, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2 starts and 1 round of 1 s")
    parser.add_argument("--models", default="digits,magika", help=f"comma-separated, of {', '.join(CASES)}")
    parser.add_argument("--python", type=Path, help="the interpreter of every server (default: see arms.interpreter)")
    parser.add_argument("--out", type=Path, help="write the JSON here, and leave results.* and the README alone")
    args = parser.parse_args()
    names = args.models.split(",")
    if unknown := [name for name in names if name not in CASES or CASES[name]().binary]:
        parser.error(f"{unknown[0]!r} is no model with a JSON request; try digits or magika")
    try:
        document = run(names, *((2, 1, 1.0) if args.quick else (11, 9, 2.5)), args.python)
    except PackError as error:
        say(f"benchmarks: {error}")
        return 1
    whole = not args.quick
    readme.publish(document, markdown(document), rows(document), HERE, title=TITLE, whole=whole, out=args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
