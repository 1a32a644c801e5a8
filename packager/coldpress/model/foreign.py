"""Saying what a file is when it is not an ONNX model, and how its owner gets one."""

__all__ = ["describe_foreign"]

_TORCH = "torch.onnx.export(model, example_inputs, 'model.onnx')"
# First bytes, where they start, what the file is, what to do.
_MAGIC = (
    (0, b"\x89HDF\r\n\x1a\n", "looks like a Keras or HDF5 file", "convert it with tf2onnx or keras's model.export"),
    (4, b"TFL3", "looks like a TensorFlow Lite model", "convert it with `python -m tf2onnx.convert --tflite`"),
    (4, b"ORTM", "is in ONNX Runtime's own ORT format", "give the .onnx file that it was made from"),
    (0, b"GGUF", "looks like a GGUF language model", "export the original model to ONNX with optimum-cli"),
    (0, b"\x1f\x8b", "is compressed with gzip", "unpack it first with gunzip"),
    (0, b"\x93NUMPY", "is a numpy array", "give the model, not data"),
    (0, b"%PDF", "is a PDF document", "give an .onnx file"),
    (0, b"version https://git-lfs", "is a Git LFS pointer, not the model itself", "fetch it with `git lfs pull`"),
    (0, b"tree\nversion=", "looks like a LightGBM model", "convert it with onnxmltools.convert_lightgbm"),
)
_PICKLE = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_EXPORT = "export it to ONNX first"


def describe_foreign(data: bytes, suffix: str) -> str:
    """Return a clause saying what ``data`` looks like and what to do about it."""
    for offset, magic, what, advice in _MAGIC:
        if data[offset : offset + len(magic)] == magic:
            return f"{what}; {advice}"
    if data[:4] == b"PK\x03\x04":
        return _zip(data)
    if data[:2] in _PICKLE:
        if b"torch" in data[:4096]:
            return f"looks like a PyTorch checkpoint; load it and call {_TORCH}"
        return "looks like a Python pickle; load it and convert the estimator with skl2onnx.to_onnx"
    if len(data) > 9 and data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data):
        return (
            f"looks like a safetensors file, which has weights and no graph; load it into its model and call {_TORCH}"
        )
    if (text := _text(data)) is not None:
        return text
    # An ONNX file opens with field 1, a varint: the IR version.
    if len(data) > 1 and data[0] == 8 and 0 < data[1] <= 20:
        return (
            f"starts like an ONNX model and breaks off or is damaged ({len(data)} bytes); export or download it again"
        )
    kind = f"a {suffix} file" if suffix and suffix != ".onnx" else "an unknown format"
    return f"is not an ONNX model but {kind}; {_EXPORT}"


def _zip(data: bytes) -> str:
    if b"data.pkl" in data[:65536]:
        return f"looks like a PyTorch file; load it and call {_TORCH}"
    if b"model.weights.h5" in data or b".keras" in data[:65536]:
        return "looks like a Keras file; convert it with keras's model.export(path, format='onnx')"
    if b".npy" in data[:65536]:
        return "looks like a numpy .npz archive; give the model, not data"
    return "is a zip archive; unpack it and give the .onnx file inside"


def _text(data: bytes) -> str | None:
    try:
        head = data[:4096].decode("utf-8", "strict" if len(data) <= 4096 else "ignore")
    except UnicodeDecodeError:
        return None
    if any(ord(character) < 32 and character not in "\t\r\n\f" for character in head):
        return None
    start = head.lstrip().lower()
    if start.startswith(("<!doctype html", "<html")):
        return "is a web page, so a download went wrong; fetch the raw file"
    if start.startswith("<"):
        return f"is XML (PMML or OpenVINO IR, perhaps), not an ONNX model; {_EXPORT}"
    if start.startswith(("{", "[")):
        return f"is JSON, not an ONNX model; {_EXPORT}, or convert an XGBoost model with onnxmltools"
    return "is text, not an ONNX model; give a binary .onnx file"
