"""The ``coldpress`` command: read the command line, run one command, turn what went wrong into one sentence.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage. Each command is a module of this package with
``add_parser(subparsers)`` and ``run(args) -> int``; what is heavy it imports inside ``run``.
"""

import argparse
import errno
import signal
import sys
import threading
from collections.abc import Sequence

from coldpress import __version__
from coldpress.cli import bench, doctor, fit, init, inspect, invoke, pack, score, serve, shrink
from coldpress.console import say
from coldpress.errors import PackError
from coldpress_runtime.errors import ColdpressError

__all__ = ["main"]

COMMANDS = (pack, shrink, invoke, serve, score, bench, inspect, fit, doctor, init)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``coldpress`` with ``argv`` (default: the process's own) and return its exit code."""
    args = _parser().parse_args(argv)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a CI that cancels must not leave scratch folders
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        say("coldpress: stopped; what was there before is untouched.")
        return 1
    except (PackError, ColdpressError, OSError, MemoryError) as error:
        if args.debug:
            raise
        say(f"coldpress: {_sentence(error)}")
        return 1


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and not isinstance(error, PackError):
        where = f" {error.filename}" if error.filename else ""
        advice = {
            errno.ENOSPC: "free some space, or choose another disk with --out, TMPDIR or COLDPRESS_CACHE",
            errno.EDQUOT: "free some space, or choose another disk with --out, TMPDIR or COLDPRESS_CACHE",
            errno.EROFS: "choose a folder that can be written with --out",
            errno.EACCES: "choose a folder that you may write with --out, or mend its permissions",
            errno.EPERM: "choose a folder that you may write with --out, or mend its permissions",
            errno.ENOENT: "check the path",
        }.get(error.errno or 0, "run again with --debug to see where")
        return f"The system refused{where}: {error.strerror or error}; {advice}."
    if isinstance(error, MemoryError):
        return "There is not enough memory for this model; close other programs, or pack on a larger machine."
    return str(error)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object on stdout, and nothing else")
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser = argparse.ArgumentParser(
        prog="coldpress",
        description="Pack a trained model into a serverless function that fits, is right, and starts cold fast.",
        epilog="Start with `coldpress pack model.onnx --target aws`.",
    )
    parser.add_argument("--version", action="version", version=f"coldpress {__version__}")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Command)
    _Command.common = common
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


class _Command(argparse.ArgumentParser):
    """A command's own parser: every one takes the common flags, so none has to remember to."""

    common: argparse.ArgumentParser

    def __init__(self, **options: object) -> None:
        super().__init__(parents=[self.common], **options)  # type: ignore[arg-type]  # argparse's own keywords


if __name__ == "__main__":
    sys.exit(main())
