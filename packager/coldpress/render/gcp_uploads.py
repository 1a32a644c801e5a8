"""The Cloud Run service that takes uploads: as large as the one that answers, or as ``[batch]`` says."""

from collections.abc import Mapping

from coldpress.config import BatchConfig

__all__ = ["same_service", "service_for_rows"]

_GEN1 = ' ? "EXECUTION_ENVIRONMENT_GEN1" : null # Cloud Run chooses'


def same_service(shared: Mapping[str, str], *, gen1: bool, in_shell: bool) -> dict[str, str]:
    """Return what fills the holes of a service that is like the one that answers.

    Args:
        shared: what fills the holes of that one.
        gen1: whether it runs in the environment of the first generation.
        in_shell: whether there is a script that makes the service; a Terraform module there always is.
    """
    in_terraform = {
        "memory": "${var.memory_mb}Mi",
        "cpu": "tostring(var.cpu)",
        "generation": f"var.memory_mb < 512{_GEN1}",
        "concurrency": "var.concurrency",
        "instances": "var.max_instances",
        "timeout": "${var.timeout_s}s",
    }
    script = {
        "memory": f"{shared['memory_mb']}Mi",
        "cpu": shared["cpu"],
        "generation_flag": " --execution-environment=gen1" if gen1 else "",
        "concurrency": shared["concurrency"],
        "instances": shared["max_instances"],
        "timeout": f"{shared['timeout_s']}s",
    }
    return _holes(in_terraform, script if in_shell else {})


def service_for_rows(batch: BatchConfig, cpu: int) -> dict[str, str]:
    """Return what fills the holes of a service that scores row by row: a job takes an instance of ``cpu`` vCPUs."""
    both = {
        "memory": f"{batch.memory_mb}Mi",
        "cpu": str(cpu),
        "concurrency": "1",
        "instances": str(batch.concurrency),
        "timeout": f"{batch.timeout_s}s",
    }
    in_terraform = both | {"cpu": f'"{cpu}"', "generation": "null # Cloud Run chooses"}
    return _holes(in_terraform, both | {"generation_flag": ""})


def _holes(in_terraform: Mapping[str, str], in_shell: Mapping[str, str]) -> dict[str, str]:
    return {f"uploads_{name}_of_terraform": text for name, text in in_terraform.items()} | {
        f"uploads_{name}": text for name, text in in_shell.items()
    }
