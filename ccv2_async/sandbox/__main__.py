"""`python -m ccv2_async.sandbox`: a sandbox until it is interrupted."""

from __future__ import annotations

import argparse
import json
import signal
import ssl
import sys
import threading
from typing import TYPE_CHECKING, Any, get_args

from ccv2_async.sandbox.server import Sandbox
from ccv2_async.sandbox.settings import DEMO, GROUPS, Mode, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEFAULT_PORT = 8765


def seed(text: str) -> int | str:
    """Return the seed that an option names."""
    return text if text == DEMO else int(text)


def _parser() -> argparse.ArgumentParser:
    known = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m ccv2_async.sandbox",
        description="Serve a local stand-in for the Constant Contact v2 API.",
    )
    parser.add_argument("--port", type=int, default=_DEFAULT_PORT, help="0 for a free one")
    parser.add_argument("--mode", choices=get_args(Mode), default="seconds", help="when jobs end")
    parser.add_argument("--looks", type=int, default=known.looks, help="looks until a job ends")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds until a job ends")
    parser.add_argument("--speed", type=float, default=1.0, help="divides the seconds")
    parser.add_argument(
        "--seed",
        type=seed,
        default=known.seed,
        help="a number, for everything random; or demo, to start with data",
    )
    parser.add_argument("--max-upload-size", type=int, default=known.max_upload_size)
    parser.add_argument("--keep-content", type=int, default=known.keep_content)
    parser.add_argument("--per-second", type=int, help="calls a second; no limit by default")
    parser.add_argument("--per-day", type=int, help="calls a day; no limit by default")
    parser.add_argument(
        "--retire",
        action="append",
        default=[],
        dest="retired",
        metavar="GROUP",
        choices=list(GROUPS),
        help="answer this group as an endpoint that the service has withdrawn",
    )
    parser.add_argument("--certfile", help="PEM file of a certificate chain: speak HTTPS")
    parser.add_argument("--keyfile", help="PEM file of its key")
    parser.add_argument("--json", action="store_true", help="print the options as one JSON line")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM, and return the exit code."""
    options: dict[str, Any] = vars(_parser().parse_args(arguments))
    as_json, certfile, keyfile = (options.pop(name) for name in ("json", "certfile", "keyfile"))
    tls = None
    if certfile is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certfile, keyfile)
    sandbox = Sandbox(options.pop("port"), tls=tls, **options)
    done = threading.Event()
    ends = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: done.set()) for number in ends]
    try:
        sandbox.start()
        _announce(sandbox, as_json=as_json)
        done.wait()
    except OSError as error:
        sys.stderr.write(f"The sandbox cannot listen: {error}\n")
        return 2
    finally:
        sandbox.stop()
        for number, handler in zip(ends, before, strict=True):
            signal.signal(number, handler)
    return 0


def _announce(sandbox: Sandbox, *, as_json: bool) -> None:
    options = sandbox.client_options()
    if as_json:
        sys.stdout.write(json.dumps(options) + "\n")
    else:
        sys.stdout.write(
            f"The sandbox listens on {options['base_url']}\n"
            f"  CCV2_BASE_URL={options['base_url']}\n"
            f"  CCV2_API_KEY={options['api_key']}\n"
            f"  CCV2_ACCESS_TOKEN={options['access_token']}\n"
            f"  CCV2_TRUST_ENV=0\n"
            f"Web page: {sandbox.origin}/\n"
            f"OpenAPI document: {sandbox.origin}/openapi.json; ends with Ctrl-C.\n"
        )
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
