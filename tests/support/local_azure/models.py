"""Hold Bicep against Microsoft's SDK models: does each property exist, and is each constant one of its values?

Run by the environment that has them: ``.tools/azure/bin/python tests/support/local_azure/models.py FILE...`` prints
the problems that it found as a JSON list, each ``FILE: RESOURCE.PROPERTY: what is wrong``, and how many it looked at.
"""

import enum
import importlib
import json
import re
import sys
import typing
from pathlib import Path

from pycep import BicepParser

MODELS = {
    "Microsoft.App/containerApps": ("appcontainers", "ContainerApp"),
    "Microsoft.App/containerApps/authConfigs": ("appcontainers", "AuthConfig"),
    "Microsoft.App/managedEnvironments": ("appcontainers", "ManagedEnvironment"),
    "Microsoft.Authorization/roleAssignments": ("authorization.v2022_04_01", "RoleAssignmentCreateParameters"),
    "Microsoft.EventGrid/systemTopics": ("eventgrid", "SystemTopic"),
    "Microsoft.EventGrid/systemTopics/eventSubscriptions": ("eventgrid", "EventSubscription"),
    "Microsoft.Insights/components": ("applicationinsights.v2020_02_02", "ApplicationInsightsComponent"),
    "Microsoft.ManagedIdentity/userAssignedIdentities": ("msi", "Identity"),
    "Microsoft.OperationalInsights/workspaces": ("loganalytics", "Workspace"),
    "Microsoft.Storage/storageAccounts": ("storage", "StorageAccount"),
    "Microsoft.Storage/storageAccounts/blobServices": ("storage", "BlobServiceProperties"),
    "Microsoft.Storage/storageAccounts/blobServices/containers": ("storage", "BlobContainer"),
    "Microsoft.Storage/storageAccounts/queueServices": ("storage", "QueueServiceProperties"),
    "Microsoft.Storage/storageAccounts/queueServices/queues": ("storage", "StorageQueue"),
    "Microsoft.Web/serverfarms": ("web", "AppServicePlan"),
    "Microsoft.Web/sites": ("web", "Site"),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": ("web", "CsmPublishingCredentialsPoliciesEntity"),
    "Microsoft.Web/sites/config": ("web", "SiteAuthSettingsV2"),
}
_BICEP = {"name", "parent", "scope", "dependsOn"}  # of the language, in every resource
_EXPRESSIONS = {"function", "operator"}


class Checker:
    """Walks a resource and its model together."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.looked_at = 0

    def check(self, place: str, value, kind) -> None:
        """Hold ``value`` against ``kind``: a model, an enumeration, a list or a plain type."""
        if isinstance(value, dict) and len(value) == 1 and _EXPRESSIONS & value.keys():
            return  # worked out by Azure
        if isinstance(value, list):
            for number, item in enumerate(value):
                self.check(f"{place}[{number}]", item, kind)
        elif isinstance(value, dict):
            self._check_model(place, value, kind)
        elif isinstance(kind, type) and issubclass(kind, enum.Enum) and isinstance(value, str):
            known = {member.value for member in kind}
            if value not in known:
                self.problems.append(f"{place}: {value!r} is none of {', '.join(sorted(known))}")

    def _check_model(self, place: str, value: dict, kind) -> None:
        if kind is None:
            return  # any names: tags, identities
        fields = _fields(_chosen(kind, value))
        for name, item in value.items():
            if "." not in place.partition(": ")[2] and name in _BICEP:
                continue
            self.looked_at += 1
            if name in fields:
                self.check(f"{place}.{name}", item, fields[name])
            else:
                self.problems.append(f"{place}.{name}: {kind.__name__} has no such property")


def _chosen(kind, value: dict):
    """Follow a discriminator: a WebHook destination is a model of its own."""
    for key, choices in getattr(kind, "_subtype_map", {}).items():
        name = kind._attribute_map[key]["key"]
        return getattr(sys.modules[kind.__module__], choices[value[name]])
    return kind


def _fields(kind) -> dict:
    """Names in JSON, and what they hold, of a model of either generation of SDK."""
    if hasattr(kind, "flattened"):
        return kind.flattened
    return _old(kind) if hasattr(kind, "_attribute_map") else _new(kind)


def _new(kind) -> dict:
    models = sys.modules[kind.__module__.rpartition(".")[0]]
    hints = typing.get_type_hints(kind, localns={"_models": models, "_types": models})
    found = {}
    for base in reversed(kind.__mro__):
        for name, field in vars(base).items():
            if type(field).__name__ == "_RestField":
                found[field._rest_name_input or name] = _inner(hints.get(name))
    return found


def _inner(hint):
    """The model or the enumeration inside of ``Optional[list[X]]`` or ``Union[str, X]``; None for any names."""
    if typing.get_origin(hint) is dict:
        return None
    for part in typing.get_args(hint):
        found = _inner(part)
        if isinstance(found, type) and (issubclass(found, enum.Enum) or found.__module__.startswith("azure.")):
            return found
    return hint if isinstance(hint, type) else None


def _old(kind) -> dict:
    module = sys.modules[kind.__module__]
    package = sys.modules[kind.__module__.rpartition(".")[0]]
    enums = dict(re.findall(r":vartype (\w+): (?:str or|list\[str or) ~[\w.]+\.(\w+)", re.sub(r"\s+", " ", _doc(kind))))
    tree: dict = {}
    for name, entry in kind._attribute_map.items():
        *folders, last = re.split(r"(?<!\\)\.", entry["key"])
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        inner = entry["type"].strip("[]")
        node[last] = None if inner.startswith("{") else getattr(module, inner, None) or _enum(package, enums.get(name))
    return {name: _as_model(name, node) for name, node in tree.items()}


def _doc(kind) -> str:
    return " ".join(base.__doc__ or "" for base in kind.__mro__)


def _enum(package, name):
    return getattr(package, name, None) if name else str


def _as_model(name: str, node):
    """A folder of flattened names, as a model."""
    if not isinstance(node, dict):
        return node
    return type(name, (), {"flattened": {key: _as_model(key, item) for key, item in node.items()}})


def main(files: list[str]) -> None:
    """Check ``files`` and print what was found."""
    checker = Checker()
    for file in files:
        for name, resource in BicepParser().parse(text=Path(file).read_text())["resources"].items():
            if resource["existing"]:
                continue
            package, model = MODELS[resource["type"]]
            kind = getattr(importlib.import_module(f"azure.mgmt.{package}.models"), model)
            checker.check(f"{file}: {name}", resource["config"], kind)
    json.dump({"problems": checker.problems, "looked_at": checker.looked_at}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
