"""Send a signed request to the function: ``python3 call.py URL FILE [CONTENT_TYPE]``; ``-`` for FILE asks with GET.

The signature is Alibaba Cloud's ACS3-HMAC-SHA256, as "Configure signature authentication for HTTP triggers" has it. The
access key is in ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, and ALIBABA_CLOUD_SECURITY_TOKEN where
there is one.
"""

import hashlib
import hmac
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

_METHOD = "ACS3-HMAC-SHA256"


def signed(method: str, url: str) -> dict[str, str]:
    """Return the headers that say who calls."""
    parts = urlsplit(url)
    query = "&".join(
        f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(parse_qsl(parts.query))
    )
    headers = {
        "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "x-acs-security-token": os.environ.get("ALIBABA_CLOUD_SECURITY_TOKEN", ""),
    }
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"{method}\n{parts.path or '/'}\n{query}\n{lines}\n{';'.join(headers)}\n"
    text = f"{_METHOD}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    secret = os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"].encode()
    signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
    identity = os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"]
    authorization = f"{_METHOD} Credential={identity},SignedHeaders={';'.join(headers)},Signature={signature}"
    return headers | {"authorization": authorization}


def main(url: str, file: str, content_type: str = "application/json") -> int:
    """Send the file, write the answer to stdout, and return the exit status."""
    body = None if file == "-" else Path(file).read_bytes()
    method = "GET" if body is None else "POST"
    request = urllib.request.Request(url, body, signed(method, url), method=method)
    if body is not None:
        request.add_header("content-type", content_type)
    try:
        with urllib.request.urlopen(request) as response:
            sys.stdout.buffer.write(response.read())
            return 0
    except urllib.error.HTTPError as error:
        sys.stderr.write(f"{error.code} {error.read().decode(errors='replace')}\n")
        return 1


if __name__ == "__main__":
    if len(sys.argv) not in {3, 4}:
        sys.exit("usage: python3 call.py URL FILE [CONTENT_TYPE]")
    for variable in ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"):
        if variable not in os.environ:
            sys.exit(f"{variable} is not set: export the access key that signs the request")
    try:
        sys.exit(main(*sys.argv[1:]))
    except (OSError, ValueError) as error:
        sys.exit(f"cannot send {sys.argv[2]} to {sys.argv[1]!r}: {error}")
