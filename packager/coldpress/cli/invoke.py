"""``coldpress invoke``: send one request to a built function, through its provider's own runtime and event shape."""

import argparse
import sys
from pathlib import Path

from coldpress.console import emit_json, say
from coldpress.emulate.function import start
from coldpress.emulate.http import HttpRequest
from coldpress.emulate.process import unpacked
from coldpress.emulate.requests import manifest_of, request_from_file
from coldpress.errors import ConfigError
from coldpress.measure import init_steps

__all__ = ["add_parser", "run"]

_KINDS = ("http-api", "rest", "url", "alb", "direct")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``invoke`` to the command line."""
    parser = subparsers.add_parser("invoke", help="send one request to a built function", description=__doc__)
    parser.add_argument("build", type=Path, help="what pack wrote (build/aws), a zip, or an unpacked function")
    parser.add_argument("request", type=Path, nargs="?", help="file whose bytes are the body (none: a GET)")
    parser.add_argument("--path", help="default: /v2/models/NAME/infer when `inputs` is a list, else /predict")
    parser.add_argument("--method", help="default: POST with a body, GET without")
    parser.add_argument("--event", choices=_KINDS, help="on AWS: who calls (http-api)")
    parser.add_argument(
        "--header", action="append", default=[], metavar="NAME:VALUE", help="a request header; may be repeated"
    )
    parser.add_argument("--python", type=Path, help="the interpreter to run it with (default: one of its own version)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Answer on stdout, status and timing on stderr; 0 for a 2xx answer."""
    headers = dict(_header(text) for text in args.header)
    with unpacked(args.build) as folder:
        manifest = manifest_of(folder)
        if args.request is None:
            request = HttpRequest(args.method or "GET", args.path or "/v2/health/ready", headers)
        else:
            request = request_from_file(args.request, manifest, path=args.path, method=args.method, headers=headers)
        memory_mb, timeout_s = (
            (1024, 30) if manifest is None else (manifest.function.memory_mb, manifest.function.timeout_s)
        )
        with start(folder, python=args.python, memory_mb=memory_mb, timeout_s=timeout_s) as function:
            call = function.call(request, args.event)
            init_ms, minor, logs = function.init_ms, function.minor, function.logs()
    reply = call.reply
    if args.json:
        emit_json(
            {
                "status": reply.status,
                "headers": dict(reply.headers),
                "body": reply.body.decode("utf-8", "replace"),
                "init_ms": round(init_ms, 3),
                "first_ms": round(call.ms, 3),
                "steps": init_steps(logs),
                "python": minor,
            }
        )
    else:
        sys.stdout.buffer.write(reply.body + (b"" if reply.body.endswith(b"\n") or not reply.body else b"\n"))
        sys.stdout.flush()
    say(
        f"{request.method} {request.path} -> {reply.status}; ready after {init_ms:.0f} ms, "
        f"first answer after {call.ms:.1f} ms (Python {minor})"
    )
    return 0 if 200 <= reply.status < 300 else 1


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ConfigError(f"--header {text!r} is not NAME:VALUE; write it as in --header 'content-type: text/plain'.")
    return name.strip().lower(), value.strip()
