"""Every error the packager raises on purpose. Each ends a command with exit code 1 and one sentence on stderr.

::

    PackError
    ├── ConfigError      coldpress.toml, or a flag, holds something impossible
    ├── ModelError       the model cannot be read, checked or run
    ├── SamplesError     the samples do not match the model's inputs
    ├── ShrinkError      no model is both right and within the budget
    ├── VocabularyError  the tokenizer, or the model, cannot lose tokens
    ├── ResolveError     a wheel for the target cannot be had, or its hash is not the pinned one
    ├── CacheError       the folder for downloads cannot be made; an OSError too, for what does without it
    ├── BundleError      the bundle could not be built or written
    ├── VerifyError      the bundle was built, started, and does not answer like the original
    ├── FitError         the bundle is over a limit of the provider
    ├── EmulateError     a built function could not be started or stopped answering
    └── TemplateError    a template and the values for it do not match

A message says what was found, what was expected, and what to do next.
"""

__all__ = [
    "BundleError",
    "CacheError",
    "ConfigError",
    "EmulateError",
    "FitError",
    "ModelError",
    "PackError",
    "ResolveError",
    "SamplesError",
    "ShrinkError",
    "TemplateError",
    "VerifyError",
    "VocabularyError",
]


class PackError(Exception):
    """Anything the packager raises on purpose."""


class ConfigError(PackError):
    """``coldpress.toml`` or a flag holds something impossible."""


class ModelError(PackError):
    """The model cannot be read, checked or run."""


class SamplesError(PackError):
    """The samples do not match the model's inputs."""


class ShrinkError(PackError):
    """No model is both right and within the budget."""


class VocabularyError(PackError):
    """The tokenizer, or the model, cannot lose tokens."""


class ResolveError(PackError):
    """A wheel for the target cannot be had, or its hash is not the pinned one."""


class CacheError(PackError, OSError):
    """The folder for downloads cannot be made."""


class BundleError(PackError):
    """The bundle could not be built or written."""


class VerifyError(PackError):
    """The bundle was built and started, and does not answer like the original."""


class FitError(PackError):
    """The bundle is over a limit of the provider."""


class EmulateError(PackError):
    """A built function could not be started, or stopped answering."""


class TemplateError(PackError):
    """A template and the values for it do not match."""
