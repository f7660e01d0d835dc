"""What runs a network: torch, ONNX Runtime or OpenVINO; and the export of graphs for the latter two."""
