"""pip, driven for a machine that is not this one: another Python, another architecture, an older C library.

pip's own configuration (index, proxies, certificates, cache) applies: nothing here names an index.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from coldpress.errors import ResolveError

__all__ = ["GLIBC", "Target", "download"]

# What the functions run on has at least this glibc: Lambda's python3.12 and later is Amazon Linux 2023 with 2.34
# (docs.aws.amazon.com/linux/al2023/release-notes/vercmp-AL2-AL2023.5.html); Azure's and Google's images are newer.
GLIBC = (2, 34)
_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}  # the first manylinux of each architecture (PEP 600)
_LEGACY = {"x86_64": {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}, "aarch64": {17: "manylinux2014"}}
_MACHINE = {"x86_64": "x86_64", "arm64": "aarch64"}


class Target:
    """The machine a function runs on: CPython ``python`` (``"3.13"``) on Linux, ``architecture`` x86_64 or arm64."""

    def __init__(self, python: str, architecture: str) -> None:
        if architecture not in _MACHINE:
            raise ResolveError(f'architecture is "{architecture}": expected "x86_64" or "arm64"; change it.')
        major, dot, minor = python.partition(".")
        if not (dot and major == "3" and minor.isdecimal()):
            raise ResolveError(f'python is "{python}": expected a minor version such as "3.13"; change it.')
        self.python = python
        self.architecture = architecture
        self.machine = _MACHINE[architecture]
        self.version = (int(major), int(minor))

    def platforms(self) -> list[str]:
        """Return the platform tags whose wheels run there, the newest C library first (PEP 600).

        ``linux_*`` is not among them: such a wheel says nothing about the C library it needs.
        """
        tags: list[str] = []
        for minor in range(GLIBC[1], _OLDEST_GLIBC[self.machine] - 1, -1):
            tags.append(f"manylinux_2_{minor}_{self.machine}")
            if legacy := _LEGACY[self.machine].get(minor):
                tags.append(f"{legacy}_{self.machine}")
        return tags

    def environment(self) -> dict[str, str]:
        """Return what environment markers (PEP 508) evaluate to there."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
            "extra": "",
        }


def download(target: Target, lines: Sequence[str], folder: Path, *, follow: bool) -> None:
    """Put the wheels of the requirements ``lines`` into ``folder``, chosen for ``target``.

    Args:
        target: where the wheels will run.
        lines: requirements as pip reads them; with ``--hash`` on any, pip checks every file against its hash.
        folder: where the files go; made when missing.
        follow: whether to fetch what the requirements themselves require.

    Raises:
        ResolveError: pip is missing, finds no wheel for the target, or a hash differs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "requirements.in"
    wanted.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += [
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={target.python}",
        "--dest",
        str(folder),
    ]
    command += [f"--platform={tag}" for tag in target.platforms()]
    command += [] if follow else ["--no-deps"]
    done = subprocess.run([*command, "-r", str(wanted)], capture_output=True, text=True, check=False)
    wanted.unlink()
    if done.returncode:
        names = " ".join(line.split(" --hash")[0] for line in lines)
        raise ResolveError(_explain(names, target, done.stderr))


def _explain(names: str, target: Target, stderr: str) -> str:
    """Turn what pip said into one sentence about what to do."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    if any("hashes" in line.lower() for line in errors):
        return f"a file's SHA-256 is not the one written down for {names}: clear pip's cache, or write a new lock."
    if any(line.startswith("WARNING: Retrying") for line in lines):
        return f"pip's index did not answer when asked for {names}: check the network and `pip config list`."
    if any("ResolutionImpossible" in line for line in errors):
        return f"no versions of {names} go together: loosen what one of them asks for, or drop one."
    said = (errors or lines or ["it says nothing"])[-1].rstrip(".")[:300]
    there = f"CPython {target.python}, Linux {target.architecture}, glibc {GLIBC[0]}.{GLIBC[1]}"
    return f"pip found no wheel for {names} on {there}: {said}; name a version that has one, or see `pip config list`."
