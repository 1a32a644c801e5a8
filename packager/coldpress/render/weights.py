"""Where a model lies that is not in the package, for the templates: a folder in the provider's store, or a path.

Rights are for the folder: while a release takes over, the version before must be able to start with its own model.
"""

import re
from typing import NamedTuple

from coldpress.errors import TemplateError

__all__ = ["SCHEMES", "WeightsPlace", "weights_place"]

SCHEMES = {"aws": "s3://", "gcp": "gs://", "azure": "az://"}
"""The store that a provider's functions read."""
_SHAPES = {"aws": "s3://BUCKET/FOLDER/", "gcp": "gs://BUCKET/FOLDER/", "azure": "az://ACCOUNT/CONTAINER/FOLDER/"}
_NAMES = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_FOLDERS = r"(?:[A-Za-z0-9._-]+/)*"
_PATTERNS = {
    "aws": re.compile(rf"s3://()({_NAMES})/({_FOLDERS})"),
    "gcp": re.compile(rf"gs://()({_NAMES})/({_FOLDERS})"),
    "azure": re.compile(rf"az://([a-z0-9]{{3,24}})/({_NAMES})/({_FOLDERS})"),
}
_MOUNTED = re.compile(rf"/{_FOLDERS}")


class WeightsPlace(NamedTuple):
    """A place that was taken apart.

    Attributes:
        account: of Azure's storage; empty elsewhere.
        bucket: or container; empty for a path.
        folder: with a slash at its end, unless it is empty; of a path all of it.
        file: the model's name there; empty before it is known.
    """

    account: str
    bucket: str
    folder: str
    file: str

    @property
    def mounted(self) -> bool:
        """Whether it is a path."""
        return not self.bucket

    @property
    def note(self) -> str:
        """The template that tells of it: each store has its own, a path is the same everywhere."""
        return "../weights/mount.md" if self.mounted else "weights/store.md"

    def holes(self) -> dict[str, str]:
        """Return what fills the holes of ``weights/``."""
        if self.mounted:
            return {"weights_file": self.file, "weights_path": self.folder + self.file}
        own = {"weights_account": self.account} if self.account else {"weights_folder": self.folder}
        return {
            "weights_bucket": self.bucket,
            "weights_file": self.file,
            "weights_key": self.folder + self.file,
            **own,
        }


def weights_place(target: str, value: str) -> WeightsPlace | None:
    """Take ``targets.<target>.weights`` apart, with or without the file's name at its end; None when it is empty.

    Raises:
        TemplateError: it is no folder in that provider's store, and no path.
    """
    if not value:
        return None
    folder, _, file = value.rpartition("/")
    folder += "/"
    if _MOUNTED.fullmatch(folder) and ".." not in folder and folder != "/":
        return WeightsPlace("", "", folder, file)
    if (found := _PATTERNS[target].fullmatch(folder)) and ".." not in folder:
        return WeightsPlace(found[1], found[2], found[3], file)
    raise TemplateError(
        f"targets.{target}.weights is {value!r}; expected {_SHAPES[target]}, with a slash at its end, or the path of a "
        "mounted folder, such as /mnt/models/"
    )
