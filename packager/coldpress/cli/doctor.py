"""``coldpress doctor``: what is missing on this machine or in this project."""

import argparse
from pathlib import Path
from typing import Any

from coldpress.console import emit_json, emit_text
from coldpress.targets import TARGETS

__all__ = ["add_parser", "run"]

_MARKS = {"ok": "✓", "warn": "!", "fail": "✗"}


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser("doctor", help="say what is missing on this machine or in this project")
    parser.add_argument("project", nargs="?", type=Path, default=Path(), help="a project's folder (default: this one)")
    parser.add_argument("--target", choices=tuple(TARGETS), default="aws", help="where to deploy (aws)")
    parser.add_argument("--online", action="store_true", help="also ask whether pip's package index answers")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the checks, print one line for each, and return 1 when any has failed."""
    from coldpress.checks import run_checks  # noqa: PLC0415  (heavy parts belong inside the command)
    from coldpress.errors import ConfigError  # noqa: PLC0415

    if not args.project.is_dir():
        raise ConfigError(f"{args.project} is not a folder: expected a project's folder; check the path.")
    checks = run_checks(args.project.resolve(), target=args.target, online=args.online)
    failed = [check for check in checks if check.status == "fail"]
    if args.json:
        emit_json({"ok": not failed, "checks": [check.to_json() for check in checks]})
        return bool(failed)
    for check in checks:
        emit_text(f"{_MARKS[check.status]} {check.name:<12} {check.found}")
        if check.advice:
            emit_text(f"  {'':<12} {check.advice}")
    return bool(failed)
