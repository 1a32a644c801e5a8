"""Audit the locked dependencies for known vulnerabilities: ``python -m tests.support.audit``.

Fails when one is found. Where no advisory service answers (an offline machine, a plain mirror) it says how many
packages could not be looked up and passes: an audit that nobody can run is a reason to say so, not to stop work.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def audit(lock: Path) -> tuple[list[str], int, int]:
    """Return the findings in one lock file, how many packages were looked up, and how many could not be."""
    command = [sys.executable, "-m", "pip_audit", "-r", str(lock), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", "5"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        packages = json.loads(run.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return (
            [],
            0,
            sum(1 for line in lock.read_text().splitlines() if "==" in line and not line.startswith(" ")),
        )
    findings = [
        f"{lock.name}: {p['name']} {p['version']}: {v['id']}, fixed in {', '.join(v['fix_versions']) or 'no release'}"
        for p in packages
        for v in p.get("vulns", [])
    ]
    unknown = sum(1 for p in packages if "skip_reason" in p)
    return findings, len(packages) - unknown, unknown


def main() -> int:
    """Audit every lock file; 1 when anything is known to be vulnerable."""
    findings, looked_up, unknown = [], 0, 0
    for lock in LOCKS:
        found, known, skipped = audit(lock)
        findings += found
        looked_up += known
        unknown += skipped
    print(f"audit: {looked_up} packages looked up, {unknown} could not be, {len(findings)} vulnerable")
    for finding in findings:
        print(f"  {finding}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
