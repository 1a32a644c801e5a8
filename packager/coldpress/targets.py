"""What ``pack`` builds for: one record a target. All that is heavy is imported when a target is asked for it."""

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from coldpress._resources import runtime_root

if TYPE_CHECKING:
    from coldpress.bundle.wheels import Wheel
    from coldpress.config import BatchConfig, Config, FunctionConfig

__all__ = ["ENTRIES", "TARGETS", "Target", "runtime_modules"]


@dataclass(frozen=True)
class Target:
    """A place where a function can run.

    ``coldpress.render.<name>`` holds ``<name>_values`` and ``render_<name>``, ``coldpress.emulate.<name>`` the class
    that starts a function as the provider does, and ``templates/<name>`` the files.

    Attributes:
        name: as in ``--target`` and ``[targets.<name>]``.
        title: what people call it.
        files: of ``templates/<name>``, those that go to the root of every bundle, the entry point first.
        function: the class in ``coldpress.emulate.<name>``.
        adapter: modules of ``coldpress_runtime`` that decode this provider's events; they ship to no other.
        deploy: what to type in the output folder next.
        ships: whether the provider's tool takes ``function.zip`` or a folder, ``function/``.
        keeps: files and folders of the output folder that the provider's tool, or the user, writes there.
        server: whether the bundle brings its own HTTP server.
        batch: the file by which uploads are scored row by row; None: nothing there does it. Where it is not the entry
            point, a function of its own does, ``batch.zip``.
    """

    name: str
    title: str
    files: tuple[str, ...]
    function: str
    adapter: tuple[str, ...]
    deploy: str
    ships: Literal["zip", "folder"] = "zip"
    keeps: tuple[str, ...] = ()
    server: bool = False
    batch: str | None = None

    @property
    def entry(self) -> str:
        """The file by which a built function is known."""
        return self.files[0]

    @property
    def separate(self) -> bool:
        """Whether uploads are scored by a function of their own, packed beside the one that answers."""
        return self.batch is not None and self.batch not in self.files

    def has_own(self, setting: str) -> bool:
        """Tell whether ``[targets.<name>]`` takes ``setting``."""
        from coldpress.target_config import TargetsConfig  # noqa: PLC0415  (it is not needed to know a bundle)

        return setting in vars(getattr(TargetsConfig(), self.name))

    def function_settings(self, config: "Config") -> "FunctionConfig":
        """Return what runs in the cloud: a setting of ``[targets.<name>]`` goes before the same of ``[function]``."""
        names = [field.name for field in dataclasses.fields(config.function)]
        own = vars(getattr(config.targets, self.name))
        return dataclasses.replace(config.function, **{name: own[name] for name in names if name in own})

    def check(self, config: "Config") -> "FunctionConfig":
        """Refuse a function that is not on offer, and return what runs otherwise.

        Raises:
            FitError: a Python, an architecture, a memory size or a time limit that the provider does not have.
        """
        from coldpress.fit.limits import provider  # noqa: PLC0415  (none of this is needed to know a bundle)
        from coldpress.fit.verdict import check_settings  # noqa: PLC0415

        function = self.function_settings(config)
        check_settings(
            provider(self.name),
            python=function.python,
            architecture=function.architecture,
            memory_mb=function.memory_mb,
            timeout_s=function.timeout_s,
        )
        return function

    def values(self, config: "Config", name: str) -> Any:
        """Gather what the templates need, which also checks it: a misspelt canary must not cost a whole pack.

        Raises:
            TemplateError: a value that the provider, or a template, would refuse.
        """
        values = getattr(self._renderer(), f"{self.name}_values")(config, name)
        self.render(values)
        return values

    def render(self, values: Any) -> dict[str, str]:
        """Return the files beside the function, as text by their path."""
        files: dict[str, str] = getattr(self._renderer(), f"render_{self.name}")(values)
        return files

    def _renderer(self) -> Any:
        return importlib.import_module(f"coldpress.render.{self.name}")

    def packages(
        self, python: str, architecture: str, cache: Path, batch: "BatchConfig | None" = None
    ) -> "tuple[Wheel, ...]":
        """Return the wheels that the bundle brings because the provider does not; with ``batch`` what that needs.

        Raises:
            ResolveError: one cannot be had, or its hash is not the pinned one.
        """
        if batch is not None:
            from coldpress.bundle.batch import batch_wheels  # noqa: PLC0415  (only where it ships)

            return batch_wheels(self.name, python, architecture, cache, parquet=batch.format == "parquet")
        if not self.server:
            return ()
        from coldpress.bundle.server import server_wheels  # noqa: PLC0415  (likewise)

        return server_wheels(python, architecture, cache)

    def function_class(self) -> Any:
        """Return the class that starts a function as the provider does."""
        return getattr(importlib.import_module(f"coldpress.emulate.{self.name}"), self.function)


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target(
            "aws",
            "AWS Lambda",
            ("app.py",),
            "LambdaFunction",
            ("aws_lambda", "aws_events", "emf", "s3", "s3_events", "sqs", "step_functions", "tasks"),
            "sam deploy --guided",
            keeps=("samconfig.toml",),  # `sam deploy --guided` keeps its answers there
            batch="batch.py",
        ),
        Target(
            "gcp",
            "Cloud Run functions",
            ("main.py", "requirements.txt", ".gcloudignore"),
            "FrameworkFunction",
            ("cloud_functions", "gcs", "uploads", "storage_events", "eventarc"),
            "./deploy.sh",
            ships="folder",
            keeps=(
                *("backend.tf", "terraform.tfvars", ".terraform.lock.hcl"),
                *("terraform.tfstate", "terraform.tfstate.backup", "terraform.tfstate.d"),
            ),
            batch="main.py",
        ),
        Target(
            "azure",
            "Azure Functions",
            ("function_app.py", "host.json"),
            "AzureFunction",
            ("azure_functions", "uploads", "blob", "storage_events", "event_grid"),
            "./deploy.sh",
            keeps=(".azure",),  # azd's environments
            batch="function_app.py",
        ),
        Target(
            "alibaba",
            "Function Compute",
            ("index.py",),
            "ComputeFunction",
            ("alibaba_fc", "oss", "uploads"),
            "./deploy.sh",
            keeps=(".s",),
        ),
        Target(
            "container",
            "container",
            ("server.py",),
            "ServerFunction",
            ("http_protocol",),  # asgi.py ships everywhere: any bundle may be mounted in an application
            "docker compose up --build",
            ships="folder",
            server=True,
        ),
    )
}

ENTRIES: Mapping[str, str] = {target.entry: target.name for target in TARGETS.values()}
"""The targets by their entry point, a file at the root of every bundle."""


def runtime_modules(target: str, *, batch: bool = False, fallback: bool = False, weights: bool = False) -> list[Path]:
    """Return the files of ``coldpress_runtime`` that ship to ``target``: no other provider's, parts only if asked for.

    Args:
        target: where they run.
        batch: whether the bundle scores uploads row by row.
        fallback: whether it asks an endpoint.
        weights: whether it reads its model from elsewhere.
    """
    others = {module for other in TARGETS.values() for module in other.adapter} - set(TARGETS[target].adapter)
    files = (path for path in sorted(runtime_root().rglob("*")) if path.is_file())
    parts = {"batch": batch, "fallback": fallback, "weights": weights}
    left = {"__pycache__"} | {name for name, ships in parts.items() if not ships}
    return [
        path
        for path in files
        if not left & {*path.relative_to(runtime_root()).parts} and path.suffix != ".pyc" and path.stem not in others
    ]
