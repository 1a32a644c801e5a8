"""The code that protobuf's compiler makes of the endpoint's .proto file; `python -m tests.support.proto` writes it."""

import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

__all__ = ["FOLDER", "NAMES", "generate"]

FOLDER = Path(__file__).parents[2] / "handlers" / "coldpress_endpoint" / "grpc"
NAMES = ("open_inference_pb2.py", "open_inference_pb2.pyi")


def generate() -> dict[str, bytes]:
    """Compile the .proto file; returns the generated files by name.

    Protobuf keeps one table of message names a process, and Triton's own client has the same names in another file:
    so ours get a table of their own.
    """
    well_known = resources.files("grpc_tools") / "_proto"
    with tempfile.TemporaryDirectory() as made:
        flags = [f"-I{FOLDER}", f"-I{well_known}", f"--python_out={made}", f"--pyi_out={made}"]
        status = protoc.main(["protoc", *flags, "open_inference.proto"])
        if status:
            raise RuntimeError(f"protoc ended with {status}")
        files = {name: (Path(made) / name).read_bytes() for name in NAMES}
    shared, own = b"_descriptor_pool.Default()", b"_descriptor_pool.DescriptorPool()"
    if files[NAMES[0]].count(shared) != 1:
        raise RuntimeError("protoc writes its code in another way now: look at where messages are registered")
    files[NAMES[0]] = files[NAMES[0]].replace(shared, own)
    return files


if __name__ == "__main__":
    for _name, _content in generate().items():
        (FOLDER / _name).write_bytes(_content)
