"""Fetch a headless Chromium for the tests of pages: ``python -m tests.support.chromium FOLDER``.

It comes as an npm package, compressed, with the few libraries and the font that a bare machine lacks. Where it cannot
be had (no npm, another processor) this says why and ends well: those tests use a system's Chromium, or are skipped.
"""

import hashlib
import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

BROWSER = "@sparticuz/chromium@153.0.0"
AXE = "axe-core@4.14.1"  # looks for what keeps people with disabilities from a page
SHA512 = {
    BROWSER: (
        "8e2196a92bcf31dbb8f8ff538a562a011ef21063c41c8371fa50af13f36a34ef"
        "c41d8cc5ff1d615222394fa8a8548b7b744cbb9fcf1bcb24f4be4f9d9ec810c0"
    ),
    AXE: (
        "1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b73"
        "4f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5"
    ),
}
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{folder}/fonts</dir><dir>/usr/share/fonts</dir><cachedir>{folder}/cache</cachedir></fontconfig>
"""


def fetch(folder: Path) -> str:
    """Unpack Chromium and axe into ``folder`` and return an empty text, or say why they cannot be had."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"{BROWSER} is for Linux on x86_64"
    if shutil.which("npm") is None:
        return "npm is not on this machine"
    packages = {}
    for name in (BROWSER, AXE):
        with tempfile.TemporaryDirectory() as scratch:
            command = ["npm", "pack", "--silent", name]
            done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False, timeout=600)
            found = list(Path(scratch).glob("*.tgz"))
            if done.returncode or len(found) != 1:
                return f"`{' '.join(command)}` failed: {done.stderr.strip()[-300:]}"
            packages[name] = found[0].read_bytes()
        if (digest := hashlib.sha512(packages[name]).hexdigest()) != SHA512[name]:
            raise SystemExit(f"{name} has the sha512 {digest}, not {SHA512[name]}")
    _unpack(packages, folder)
    return ""


def _unpack(packages: dict[str, bytes], folder: Path) -> None:
    import brotli

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(packages[BROWSER])) as package:
        # Libraries of NSS, a font, the software renderer; each lies beside the program or in a folder of its own.
        for name in ("al2023", "fonts", "swiftshader"):
            packed = brotli.decompress(package.extractfile(f"package/bin/{name}.tar.br").read())
            with tarfile.open(fileobj=io.BytesIO(packed)) as part:
                part.extractall(folder, filter="data")
        program = folder / "chromium"
        program.write_bytes(brotli.decompress(package.extractfile("package/bin/chromium.br").read()))
        program.chmod(0o755)
    with tarfile.open(fileobj=io.BytesIO(packages[AXE])) as package:
        (folder / "axe.js").write_bytes(package.extractfile("package/axe.min.js").read())
    (folder / "fonts.conf").write_text(_FONTS.format(folder=folder.resolve()))
    (folder / ".done").touch()


if __name__ == "__main__":
    if why := fetch(Path(sys.argv[1])):
        sys.stderr.write(f"no Chromium for the tests of pages: {why}\n")
