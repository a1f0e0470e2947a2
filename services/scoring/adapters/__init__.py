"""Adapters of the models: `onnx` runs one, `model_directory` finds the live one."""
