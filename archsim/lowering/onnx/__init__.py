"""ONNX models: reading them needs the library onnx, building their ops does not."""
