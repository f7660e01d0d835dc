"""MediaPipe's FaceMesh for faces that are far away: its graph with the full-range detector of the same wheel.

FaceMesh looks for faces with a short-range detector, which hardly finds any that are narrower than a ninth of the
picture. The other one finds them down to a twenty-fifth. Landmarks and following from frame to frame are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

_ROI = """
node {
  calculator: "DetectionsToRectsCalculator"
  input_stream: "DETECTION:face_detection"
  input_stream: "IMAGE_SIZE:detections_loop_image_size"
  output_stream: "NORM_RECT:upright_rect"
  options { [mediapipe.DetectionsToRectsCalculatorOptions.ext] { conversion_mode: USE_BOUNDING_BOX } }
}
node {
  calculator: "RectTransformationCalculator"
  input_stream: "NORM_RECT:upright_rect"
  input_stream: "IMAGE_SIZE:detections_loop_image_size"
  output_stream: "face_rect_from_detection"
  options { [mediapipe.RectTransformationCalculatorOptions.ext] { scale_x: 1.5 scale_y: 1.5 square_long: true } }
}
"""
"""Where the landmark network looks first: MediaPipe's own step, but upright. It would turn the place by the eyes that
the detector tells, and of tiny faces it tells them wrong, while the place is right."""


def far_face_mesh(max_faces: int, min_confidence: float) -> Any:
    """To be used like MediaPipe's FaceMesh that follows faces and refines their landmarks."""
    import mediapipe
    from google.protobuf import text_format
    from mediapipe.framework.calculator_pb2 import CalculatorGraphConfig
    from mediapipe.python.solution_base import SolutionBase
    from mediapipe.python.solutions import face_mesh  # noqa: F401  makes the options of the graph known

    graph = CalculatorGraphConfig()
    modules = Path(mediapipe.__file__).parent / "modules"
    graph.ParseFromString((modules / "face_landmark" / "face_landmark_front_cpu.binarypb").read_bytes())
    graph.ClearField("type")  # that name is taken by the graph it was
    for node in list(graph.node):
        if node.calculator == "FaceDetectionShortRangeCpu":
            node.calculator = "FaceDetectionFullRangeCpu"
        elif node.calculator == "FaceDetectionFrontDetectionToRoi":
            graph.node.remove(node)
    graph.MergeFrom(text_format.Parse(_ROI, CalculatorGraphConfig()))
    detector = "facedetectionfullrangecpu__facedetectionfullrange__facedetection"
    return SolutionBase(
        graph_config=graph,
        side_inputs={"num_faces": max_faces, "with_attention": True, "use_prev_landmarks": True},
        calculator_params={
            f"{detector}__TensorsToDetectionsCalculator.min_score_thresh": min_confidence,
            "facelandmarkcpu__ThresholdingCalculator.threshold": min_confidence,
        },
        outputs=["multi_face_landmarks"],
    )
