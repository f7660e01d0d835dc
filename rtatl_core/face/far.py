"""MediaPipe's FaceMesh for faces that are far away: its graph with the full-range detector of the same wheel.

FaceMesh looks for faces with a short-range detector, which hardly finds any that are narrower than a ninth of the
picture. The other one finds them down to a twenty-fifth. Landmarks and following from frame to frame are the same.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rtatl_core.face.find import CONFIDENCE, FaceMesh, besides, extent, no_plots
from rtatl_core.face.track import ALIKE, PATIENCE_S
from rtatl_core.handoffs import Float32, UInt8

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


def _far_face_mesh(max_faces: int) -> Any:
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
            f"{detector}__TensorsToDetectionsCalculator.min_score_thresh": CONFIDENCE,
            "facelandmarkcpu__ThresholdingCalculator.threshold": CONFIDENCE,
        },
        outputs=["multi_face_landmarks"],
    )


class FarFaceMesh(FaceMesh):
    """The same for faces down to a twenty-fifth of the picture; it follows what it found."""

    def _load(self, max_faces: int, tracking: bool) -> Any:
        with no_plots():
            return _far_face_mesh(max_faces)


LOOK_S = 0.25
"""Seconds before the next search after one that found no further face, because a search costs twice as much as
FaceMesh itself."""


class FarFaces:
    """The faces that FaceMesh leaves out because they are small. Nothing is loaded before one is wanted."""

    def __init__(self, max_faces: int) -> None:
        self.followed: list[Float32] = []
        """Those of the last picture."""
        self._max_faces = max_faces
        self._mesh: FarFaceMesh | None = None
        self._looked_at = self._near_at = -math.inf
        self._near_size = 0.0

    def __call__(self, image: UInt8, timestamp: float, near: list[Float32]) -> list[Float32]:
        """At most as many as are wanted besides ``near``. Followed faces are searched in every picture. New ones are
        searched every LOOK_S, or at once when all were lost; not at all while a near face is only briefly missing."""
        if near:
            self._near_at, self._near_size = timestamp, max(map(extent, near))
        wanted = self._max_faces - len(near)
        faces: list[Float32] = []
        if wanted > 0 and self.followed:
            faces = self._seen(image, timestamp, near)[:wanted]
        last = self._looked_at if near else max(self._looked_at, self._near_at)
        if wanted > 0 and not faces and (self.followed or not 0 <= timestamp - last < LOOK_S):
            self._looked_at = timestamp
            # twice where somebody is: the detector's places are rough, and landmarks settle with the second look
            faces = self._seen(image, timestamp, near) and self._seen(image, timestamp, near)[:wanted]
        if not faces:
            self.forget()
        self.followed = faces
        return faces

    def _seen(self, image: UInt8, timestamp: float, near: list[Float32]) -> list[Float32]:
        if self._mesh is None:
            self._mesh = FarFaceMesh(self._max_faces)
        faces = besides(near, self._mesh(image))
        if self._max_faces > 1 or not 0 <= timestamp - self._near_at < PATIENCE_S:
            return faces
        # where one face is wanted, a much smaller one is somebody behind the last near one, or on the wall
        return [face for face in faces if extent(face) >= ALIKE * self._near_size]

    def forget(self) -> None:
        """None is followed any more."""
        if self._mesh is not None and self._mesh.follows:
            self._mesh.forget()
        self.followed = []

    def reset(self) -> None:
        """Looks at the next picture as if it were the first."""
        self.forget()
        self._looked_at = self._near_at = -math.inf

    def close(self) -> None:
        if self._mesh is not None:
            self._mesh.close()
