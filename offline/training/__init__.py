"""The exit-risk model, from journeys to a checked ONNX file, and how good it is."""
