"""What runs a network: torch, ONNX Runtime, OpenVINO; and the graphs for the latter two."""
