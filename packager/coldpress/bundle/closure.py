"""What a set of wheels requires on the target, from their own metadata.

pip can choose files for another machine, but evaluates environment markers for the one it runs on; this says which of
the packages it chose are needed there, and which it left out.
"""

from collections.abc import Iterable, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from coldpress.bundle.pip import Target
from coldpress.bundle.wheels import Wheel, wheel_metadata
from coldpress.errors import ResolveError

__all__ = ["check_runs_there", "closure", "locked_hashes", "needed_there"]


def needed_there(requirements: Iterable[str], target: Target) -> list[str]:
    """Return the requirements that hold on ``target``, without markers, comments and blank lines.

    Raises:
        ResolveError: a line is not a requirement (an option, a path, a version nobody can read).
    """
    kept = []
    for line in requirements:
        text = line.split(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise ResolveError(
                f'"{text}" is not a requirement ({str(error).splitlines()[0]}): '
                'expected a line such as "numpy>=2"; mend it.'
            ) from error
        if requirement.marker is None or requirement.marker.evaluate(target.environment()):
            requirement.marker = None
            kept.append(str(requirement))
    return kept


def closure(lines: Sequence[str], wheels: Sequence[Wheel], target: Target) -> tuple[tuple[Wheel, ...], set[str]]:
    """Return the wheels that ``lines`` lead to on ``target``, sorted by name, and the requirements no wheel answers."""
    by_name = {wheel.name: wheel for wheel in wheels}
    needed: dict[str, Wheel] = {}
    missing: set[str] = set()
    waiting = [Requirement(line) for line in lines]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        wheel = by_name.get(name)
        if wheel is None:
            missing.add(str(requirement))
            continue
        if name not in needed:
            check_runs_there(wheel, target)
            needed[name] = wheel
        for extra in ("", *sorted(requirement.extras)):
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting.extend(_requires(wheel, extra, target))
    return tuple(needed[name] for name in sorted(needed)), missing


def check_runs_there(wheel: Wheel, target: Target) -> None:
    """Refuse a wheel whose tags or ``Requires-Python`` exclude ``target``.

    Raises:
        ResolveError: the file is for another Python, architecture or C library.
    """
    _, _, _, tags = parse_wheel_filename(wheel.filename)
    requires = wheel_metadata(wheel).get("Requires-Python")
    python_fits = not requires or SpecifierSet(requires).contains(f"{target.python}.99")
    if tags.isdisjoint(_tags(target)) or not python_fits:
        raise ResolveError(
            f"{wheel.filename} does not run on CPython {target.python}, Linux {target.architecture}: "
            "expected a wheel for that; name another version."
        )


def locked_hashes(lock: str) -> list[tuple[str, str]]:
    """Return every line of a lock with the SHA-256 it names.

    Raises:
        ResolveError: a line has no hash, or more than one.
    """
    entries = []
    for line in lock.splitlines():
        text = line.strip()
        if text and not text.startswith("#"):
            name, _, digest = text.partition(" --hash=sha256:")
            if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
                raise ResolveError(
                    f'"{name}" in the lock has no SHA-256 of its own: remove the lock to write a new one.'
                )
            entries.append((text, digest))
    return entries


def _tags(target: Target) -> frozenset[Tag]:
    platforms = target.platforms()
    return frozenset(
        [
            *cpython_tags(target.version, platforms=platforms),
            *compatible_tags(target.version, f"cp{target.version[0]}{target.version[1]}", platforms),
        ]
    )


def _requires(wheel: Wheel, extra: str, target: Target) -> list[Requirement]:
    """Return what ``wheel`` requires on ``target``, for one of its extras or for itself."""
    environment = {**target.environment(), "extra": extra}
    found = []
    for text in wheel_metadata(wheel).get_all("Requires-Dist") or []:
        requirement = Requirement(text)
        if requirement.marker is None:
            if not extra:
                found.append(requirement)
        elif requirement.marker.evaluate(environment):
            requirement.marker = None
            found.append(requirement)
    return found
