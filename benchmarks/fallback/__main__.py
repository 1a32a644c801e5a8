"""`python -m benchmarks.fallback [--quick] [--only a,b] [--python PATH] [--out FILE]`."""

import argparse
import sys
from pathlib import Path

from benchmarks import readme
from benchmarks.fallback.report import markdown, rows
from benchmarks.fallback.run import PARTS, run
from coldpress.console import say
from coldpress.errors import PackError

HERE = Path(__file__).parent
TITLE = "What `make bench-fallback` measured"


def main() -> int:
    """Measure, write results.json and results.md, fill in the README, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fallback", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of everything")
    parser.add_argument("--only", default=",".join(PARTS), help=f"comma-separated, of {', '.join(PARTS)}")
    parser.add_argument("--python", type=Path, help="the interpreter of every server")
    parser.add_argument("--out", type=Path, help="write the JSON here, and leave results.* and the README alone")
    args = parser.parse_args()
    names = args.only.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"{unknown[0]!r} is no part; expected some of {', '.join(PARTS)}")
    try:
        document = run(names, quick=args.quick, python=args.python)
    except PackError as error:
        say(f"benchmarks: {error}")
        return 1
    whole = not args.quick and set(names) == set(PARTS)
    readme.publish(document, markdown(document), rows(document), HERE, title=TITLE, whole=whole, out=args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
