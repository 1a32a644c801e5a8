"""`python -m benchmarks [--quick] [--models a,b] [--arms a,b] [--rounds N] [--python PATH] [--out FILE]`."""

import argparse
import sys
from pathlib import Path

from benchmarks import readme
from benchmarks.arms import ARMS, PYTHONS
from benchmarks.cases import CASES
from benchmarks.report import markdown, targets
from benchmarks.run import run
from coldpress.console import say
from coldpress.errors import PackError
from coldpress.interpreters import find_interpreter

HERE = Path(__file__).parent


def main() -> int:
    """Measure, write results.json and results.md, fill in the README, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12, help="fresh processes of each arm (12)")
    parser.add_argument("--quick", action="store_true", help="3 rounds")
    parser.add_argument("--models", default=",".join(CASES), help="comma-separated")
    parser.add_argument("--arms", default=",".join(ARMS), help="comma-separated")
    parser.add_argument(
        "--python", type=Path, help="the interpreter of every arm (default: 3.13, 3.14, 3.12, or this one)"
    )
    parser.add_argument("--out", type=Path, help="write the JSON here, and leave results.* and the README alone")
    args = parser.parse_args()
    found = filter(None, map(find_interpreter, PYTHONS))
    python = args.python.absolute() if args.python else next(found, Path(sys.executable))
    try:
        document = run(args.models.split(","), args.arms.split(","), 3 if args.quick else args.rounds, python)
    except PackError as error:
        say(f"benchmarks: {error}")
        return 1
    told = markdown(document)
    readme.publish(document, told, targets(document), HERE, title="What `make bench` measured", out=args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
