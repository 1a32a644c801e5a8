"""Run every conformance case: `python -m tests.conformance [--strip] [--verbose]`.

Exit 0 when the lean engine (with `--strip`: on the stripped model) matches whatever the onnxruntime binding matches.
"""

import argparse
import sys
from collections import Counter

from tests.conformance.cases import MissingError, cases
from tests.conformance.crew import outcomes


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("--strip", action="store_true", help="strip each model before the lean engine runs it")
    parser.add_argument("--verbose", action="store_true", help="say why a case that plain onnxruntime fails, fails")
    options = parser.parse_args()
    totals: Counter[str] = Counter()
    try:
        folders = cases()
    except MissingError as error:
        sys.stderr.write(f"Cannot run the conformance cases: {error}.\n")
        return 2
    for folder, found in outcomes(folders, strip=options.strip):
        name = f"{folder.parent.name}/{folder.name}"
        plain, lean = (found[key] if found[key] in {"match", "differ"} else "fail" for key in ("plain", "lean"))
        totals["plain " + plain] += 1
        totals["lean " + lean] += 1
        totals["same bits"] += plain == lean == "match" and found["same"]
        if plain == "match" and (lean != "match" or (not found["same"] and not options.strip)):
            totals["worse"] += 1
            sys.stdout.write(f"WORSE {name}: {found['lean'] if lean != 'match' else 'other bits'}\n")
        elif options.verbose and plain != "match":
            sys.stdout.write(f"{name}\n  plain: {found['plain']}\n  lean:  {found['lean']}\n")
    sys.stdout.write(
        f"{len(folders)} cases{' (stripped)' if options.strip else ''}: onnxruntime matches {totals['plain match']}, "
        f"differs {totals['plain differ']}, fails {totals['plain fail']}; "
        f"lean matches {totals['lean match']}, differs {totals['lean differ']}, fails {totals['lean fail']}; "
        f"{totals['same bits']} with the same bits, {totals['worse']} worse.\n"
    )
    return 1 if totals["worse"] else 0


if __name__ == "__main__":
    raise SystemExit(_main())
