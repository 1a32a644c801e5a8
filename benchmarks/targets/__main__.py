"""`python -m benchmarks.targets [--quick] [--only a,b] [--rounds N] [--out FILE]`."""

import argparse
import sys
from pathlib import Path

from benchmarks import readme
from benchmarks.targets.report import figures, markdown
from benchmarks.targets.run import run
from coldpress.console import say
from coldpress.errors import PackError
from coldpress.targets import TARGETS

HERE = Path(__file__).parent
TITLE = "What `make bench` measured of every target"


def main() -> int:
    """Measure, write results.json and results.md, fill in the README, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.targets", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12, help="fresh processes of each function (12)")
    parser.add_argument("--quick", action="store_true", help="3 rounds")
    parser.add_argument("--only", default=",".join(TARGETS), help="targets, comma-separated")
    parser.add_argument("--out", type=Path, help="write the JSON here, and leave results.* and the README alone")
    args = parser.parse_args()
    names = args.only.split(",")
    if unknown := [name for name in names if name not in TARGETS]:
        parser.error(f"{unknown[0]!r} is not known; there are {', '.join(TARGETS)}")
    try:
        document = run(names, 3 if args.quick else args.rounds)
    except PackError as error:
        say(f"benchmarks: {error}")
        return 1
    whole = names == list(TARGETS)
    readme.publish(document, markdown(document), figures(document), HERE, title=TITLE, whole=whole, out=args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
