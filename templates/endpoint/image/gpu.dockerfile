# onnxruntime-gpu needs CUDA 13 and cuDNN 9, which this base brings. For TensorRT take one that has it, such as
# --build-arg BASE=nvcr.io/nvidia/tensorrt:25.10-py3; without, models run on CUDA.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/endpoint
