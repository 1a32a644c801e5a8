"""ONNX files: read with every size and path checked, list what belongs to one, write whole or not at all."""
