"""``coldpress serve``: a built function, or a model, over HTTP on this machine, with a page to try it."""

import argparse
import contextlib
from importlib.util import find_spec
from pathlib import Path

from coldpress.console import emit_json, say
from coldpress.errors import ConfigError

__all__ = ["add_parser", "run"]


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``serve`` to the command line."""
    parser = subparsers.add_parser("serve", help="try a built function in a browser", description=__doc__)
    parser.add_argument(
        "build", type=Path, help="what pack wrote (build/aws), a zip, an unpacked function, or an ONNX file"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine alone)")
    parser.add_argument("--port", type=_port, default=8000, help="port to listen on (8000; 0: any that is free)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument("--python", type=Path, help="the interpreter to run it with (default: one of its own version)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C; 0 then."""
    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)} cannot be imported, which serve needs; run `pip install 'coldpress[serve]'`."
        )
    from coldpress.serve.app import make_app  # noqa: PLC0415  (it needs what was looked for above)
    from coldpress.serve.opening import opened  # noqa: PLC0415
    from coldpress.serve.server import address, is_local, listen  # noqa: PLC0415
    from coldpress.serve.server import run as serve  # noqa: PLC0415

    with listen(args.host, args.port) as listener, opened(args.build, args.python) as (served, about):
        url, local = address(listener), is_local(listener)
        names = frozenset({"localhost", "127.0.0.1", "[::1]", args.host.lower()}) if local else None
        app = make_app(served, about, names=names)
        if args.json:
            emit_json({"url": url, **{key: about[key] for key in ("model", "runs_on", "python", "init_ms")}})
        where = f"{about['runs_on']}, Python {about['python']}"
        say(f"{about['model']} runs on {where}; ready after {about['init_ms']:.0f} ms.")
        if not local:
            say(f"Everybody who reaches this machine at {args.host} can send requests; nobody is asked who they are.")
        say(f"{url}  (Ctrl-C stops it)")
        if args.open:
            import webbrowser  # noqa: PLC0415

            webbrowser.open(url)
        with contextlib.suppress(KeyboardInterrupt):
            serve(app, listener, served.close)
    say("Stopped.")
    return 0


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{text!r} is no port; expected a number from 0 to 65535")
    return int(text)
