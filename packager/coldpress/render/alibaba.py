"""``templates/alibaba`` filled in: the folder that ``deploy.sh`` deploys with Serverless Devs.

Names are those of the schema of Serverless Devs' component fc3 (2026-05-28).
"""

import json
import re
import shlex
from collections.abc import Mapping
from urllib.parse import quote as quote_url

from coldpress._resources import template_root
from coldpress.config import Config
from coldpress.errors import TemplateError
from coldpress.render.alibaba_values import AlibabaValues
from coldpress.render.fallback import asked, readme_pieces
from coldpress.render.template import Template, quote

__all__ = ["AlibabaValues", "alibaba_values", "render_alibaba"]

_DESCRIPTION_CHARACTERS = 256
_TAG_CHARACTERS = 128
# What Serverless Devs evaluates wherever it stands: its own `${...}`, and its template engine's `<%...%>`.
_EVALUATED = ("${", "<%")


def alibaba_values(config: Config, name: str) -> AlibabaValues:
    """Gather what the templates need from the settings, which also checks it.

    Raises:
        TemplateError: a value that Function Compute would refuse, or a file of keys that cannot be read.
    """
    function, alibaba = config.function, config.targets.alibaba
    try:
        jwks = alibaba.jwks.read_text(encoding="utf-8") if alibaba.jwks is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"the keys {alibaba.jwks} cannot be read ({error}): check targets.alibaba.jwks") from None
    return AlibabaValues(
        name=name,
        version=config.model.version,
        description=config.model.description,
        region=alibaba.region,
        python=alibaba.python,
        memory_mb=function.memory_mb,
        cpu=alibaba.cpu,
        disk_mb=alibaba.disk_mb,
        timeout_s=function.timeout_s,
        auth=alibaba.auth,
        jwks=jwks,
        canary_percent=alibaba.canary_percent,
        minimum_instances=alibaba.minimum_instances,
        reserved_concurrency=alibaba.reserved_concurrency,
        internet=alibaba.internet,
        uploads_bucket=alibaba.uploads_bucket,
        environment=function.environment,
        asked=asked(config, name, "alibaba"),
    )


def render_alibaba(values: AlibabaValues) -> dict[str, str]:
    """Return the deployable folder's files as text by their path.

    Raises:
        TemplateError: the templates and this module do not match, or a text that Serverless Devs would evaluate.
    """
    template = Template(template_root() / "alibaba", _holes(values))

    def piece(name: str, *, wanted: bool = True) -> str:
        return template.fill(name).rstrip("\n") if wanted else ""

    uploads = bool(values.uploads_bucket)
    files = {
        "s.yaml": template.fill(
            "s.yaml",
            auth_config=piece("auth/jwt.yaml", wanted=values.auth == "jwt"),
            role=piece("optional/role.yaml", wanted=uploads),
            uploads=piece("optional/uploads.yaml", wanted=uploads),
        ),
        "deploy.sh": template.fill("deploy.sh"),
        "README.md": template.fill(
            "README.md",
            call=piece(f"call/{values.auth}.sh"),
            uploads_note=piece("optional/uploads.md", wanted=uploads),
            fallback_readme=readme_pieces(values.asked)["fallback_readme"],
        ),
    }
    if values.auth == "function":
        files["call.py"] = template.fill("call.py")
    if uploads:
        names = ("role.sh", *(f"ram/{who}-{what}.json" for who in ("function", "oss") for what in ("trust", "policy")))
        files |= {name: template.fill(name) for name in names}
    template.close()
    return files


def _holes(values: AlibabaValues) -> dict[str, str]:
    """Return what fills the holes of all the files together, each in the spelling of its place."""
    described = values.description or f"{values.name} {values.version}, packed by coldpress"
    uploads = bool(values.uploads_bucket)
    tags = {"coldpress-model": values.name, "coldpress-version": values.version}
    holes = {
        "auth": values.auth,
        "auth_reason": {
            "function": "callers sign with an access key",
            "jwt": "callers bring a token",
            "anonymous": "anybody who knows the address may call",
        }[values.auth],
        "call_file": "| `call.py` | a signed request from the shell |" if values.auth == "function" else "",
        "canary_note": _canary_note(values.canary_percent),
        "canary_percent": str(values.canary_percent),
        "canary_share": f"{values.canary_percent / 100:g}",
        "canary_words": f"a new version, which {values.canary_percent or 100} % of the callers get",
        "concurrency": (
            "    s concurrency remove -y >/dev/null 2>&1 || true"
            if values.reserved_concurrency is None
            else f"    s concurrency put --reserved-concurrency {values.reserved_concurrency}"
        ),
        "cpu": f"{values.vcpus:g}",
        "description": _text(described[:_DESCRIPTION_CHARACTERS]),
        "disk_mb": str(values.disk_mb),
        "environment": _environment(values.environment, token=values.asked is not None and values.asked.token),
        "function": values.function,
        "internet": "true" if values.internet or uploads else "false",
        "memory_mb": str(values.memory_mb),
        "name_in_path": quote_url(values.name, safe=""),
        "provision": (
            f"    s provision put --qualifier live --target {values.minimum_instances}"
            if values.minimum_instances
            else "    s provision remove --qualifier live -y >/dev/null 2>&1 || true"
        ),
        "python": values.python,
        "region": values.region,
        "role_files": "| `role.sh`, `ram/` | the roles that scoring uploads needs, and what they allow |"
        if uploads
        else "",
        "tags": "\n".join(f"        - {{key: {key}, value: {_text(_tag(value))}}}" for key, value in tags.items()),
        "timeout_s": str(values.timeout_s),
        "title": " ".join(values.name.replace("`", "'").split()),
        "version_text": shlex.quote(" ".join(values.version.split())),
    }
    if values.key:
        fields = ", ".join(f"{name}: {_text(text)}" for name, text in values.key.items())
        holes["jwks"] = f"{{keys: [{{{fields}}}]}}"
    if uploads:
        bucket = f"acs:oss:*:*:{values.uploads_bucket}"
        holes |= {
            "bucket": values.uploads_bucket,
            "function_role": values.function,
            "input_prefix": _text(values.input_prefix),
            "input_prefix_text": values.input_prefix or "/",
            "oss_role": f"{values.function}-oss",
            "output_prefix_text": values.output_prefix,
            "readable": json.dumps(f"{bucket}/{values.input_prefix}*"),
            "writable": json.dumps(f"{bucket}/{values.output_prefix}*"),
        }
    return holes


def _canary_note(percent: int) -> str:
    if not percent:
        return "everybody gets the new version at once."
    return (
        f"{percent} % of the callers get the new version first.\n"
        "Then `./deploy.sh promote` gives it to all, and `./deploy.sh rollback` to none."
    )


def _environment(variables: Mapping[str, str], *, token: bool) -> str:
    lines = [f"        {name}: {_text(value)}" for name, value in variables.items()]
    if token:  # of whoever deploys
        lines.append("        COLDPRESS_FALLBACK_TOKEN: ${env('COLDPRESS_FALLBACK_TOKEN')}")
    if not lines:
        return ""
    return "\n".join(["      environmentVariables:", *lines])


def _text(text: str) -> str:
    """Return ``text`` as a YAML string that Serverless Devs hands on as it is."""
    for opening in _EVALUATED:
        if opening in text:
            raise TemplateError(f"{text!r} holds '{opening}', which Serverless Devs evaluates: leave it out")
    return quote(text)


def _tag(value: str) -> str:
    """Return ``value`` with what every resource of Alibaba Cloud allows in a tag."""
    return re.sub(r"[^\w .:/=+\-@]", "-", value)[:_TAG_CHARACTERS]
