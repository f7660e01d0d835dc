"""Rows of frames.csv: OpenFace's names and number formats, our empty fields for what was not measured."""

from __future__ import annotations

import math
from io import StringIO

import numpy as np
import pytest

from rtatl_core.handoffs import AnalysedFrame, AUResult, FramePacket
from rtatl_core.sessions.rows import FaceRecord, FrameRecord, RowFormat, parse, records
from tests.desktop.fakes import AUS, make_face

HEADER = (
    "frame,face_id,timestamp,confidence,success,pose_Tx,pose_Ty,pose_Tz,pose_Rx,pose_Ry,pose_Rz,"
    "AU01_r,AU12_r,AU01_c,AU12_c,AU01_raw,AU12_raw,face_x0,face_y0,face_x1,face_y1,analysed"
)
PLAIN, SIDED = RowFormat((1, 12)), RowFormat((1, 12), sides=True)


def face(face_id: int = 0, intensity: tuple[float, float] = (0.12345, 4.9996)) -> FaceRecord:
    values = np.array(intensity, np.float32)
    result = AUResult(values, values / 2, np.array([0.4999, 0.5], np.float32))
    pose = np.array([-12.34, 5.67, 601.25, 0.12345, -0.5, 1 / 3])
    return FaceRecord(face_id, 0.98765, pose, result, (10.04, 20.0, 110.26, 140.0))


def test_columns_are_openfaces_then_ours() -> None:
    assert ",".join(PLAIN.columns) == HEADER
    assert PLAIN.columns["AU12_r"] == {
        "description": "Lip corner puller: intensity after smoothing",
        "unit": "0-5",
    }


def test_a_face_is_one_line_in_the_columns_order() -> None:
    record = FrameRecord(7, 1 / 3, (face(2),), analysed=True)
    assert PLAIN.lines(record) == [
        "7,2,0.333333,0.988,1,-12.3,5.7,601.2,0.1235,-0.5000,0.3333,"
        "0.123,5.000,0,1,0.062,2.500,10.0,20.0,110.3,140.0,1\n"
    ]


@pytest.mark.parametrize("analysed", [True, False])
def test_without_a_face_all_values_are_empty_not_zero(analysed: bool) -> None:
    (line,) = PLAIN.lines(FrameRecord(3, 0.08, analysed=analysed))
    fields = dict(zip(HEADER.split(","), line.rstrip("\n").split(","), strict=True))
    filled = {name: text for name, text in fields.items() if text}
    assert filled == {"frame": "3", "timestamp": "0.080000", "success": "0", "analysed": str(int(analysed))}


def test_a_value_that_is_no_number_is_left_empty() -> None:
    (line,) = PLAIN.lines(FrameRecord(1, 0.0, (face(intensity=(math.nan, math.inf)),), analysed=True))
    fields = dict(zip(HEADER.split(","), line.rstrip("\n").split(","), strict=True))
    assert fields["AU01_r"] == fields["AU12_r"] == ""


def test_nothing_is_written_as_less_than_nothing() -> None:
    (line,) = PLAIN.lines(FrameRecord(1, -7e-18))  # as a first frame that is damaged has it
    assert line.startswith("1,,0.000000,")


def test_the_faces_of_a_frame_come_in_the_order_of_their_ids_after_what_was_dropped() -> None:
    packet = FramePacket(np.zeros((24, 32, 3), np.uint8), 5, 0.16, 0.0)
    frame = AnalysedFrame(packet, tuple(make_face(packet, i, 3) for i in (2, 0, 1)), AUS, ((3, 0.08), (4, 0.12)))
    *dropped, analysed = records(frame)
    assert [(record.number, record.analysed, record.faces) for record in dropped] == [(3, False, ()), (4, False, ())]
    assert [face.face_id for face in analysed.faces] == [0, 1, 2], "the largest came first"


def test_what_is_written_is_read_back() -> None:
    shown = [FrameRecord(1, 0.0, (face(0), face(1)), True), FrameRecord(2, 0.04), FrameRecord(3, 0.08, (), True)]
    text = HEADER + "\n" + "".join(line for record in shown for line in PLAIN.lines(record))
    columns, cut = parse(StringIO(text))
    assert cut == 0
    assert columns["frame"].tolist() == [1, 1, 2, 3]
    assert columns["analysed"].tolist() == [1, 1, 0, 1]
    np.testing.assert_allclose(columns["AU12_r"], [5.0, 5.0, np.nan, np.nan], atol=1e-3)
    np.testing.assert_array_equal(columns["face_id"], [0, 1, np.nan, np.nan])
    few, cut = parse(StringIO(text), ("analysed", "frame"))
    assert cut == 0
    assert {name: values.tolist() for name, values in few.items()} == {"frame": [1, 1, 2, 3], "analysed": [1, 1, 0, 1]}


@pytest.mark.parametrize(
    ("tail", "cut"),
    [("", 0), ("4,0,0.12", 1), ("4" + "," * 20 + "1", 1), ("\0\0\0\0", 1), ("4,0,0\n5,0", 2)],
    ids=["whole", "within a row", "whole row, no line break", "zeros after a power cut", "two bad rows"],
)
def test_rows_cut_off_at_the_end_are_counted(tail: str, cut: int) -> None:
    row = PLAIN.lines(FrameRecord(1, 0.0, (face(),), True))[0]
    columns, found = parse(StringIO(f"{HEADER}\n{row}{tail}"))
    assert found == cut
    assert columns["frame"].tolist() == [1]


def test_a_damaged_row_in_the_middle_is_not_passed_over() -> None:
    row = PLAIN.lines(FrameRecord(1, 0.0, (face(),), True))[0]
    with pytest.raises(ValueError, match="line 3"):
        parse(StringIO(f"{HEADER}\n{row}1,2\n{row}"))


@pytest.mark.parametrize("text", ["", "frame,face_id", "a,b\n1,2\n"])
def test_a_file_without_header_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="header"):
        parse(StringIO(text))


def test_models_that_tell_sides_have_two_more_columns_per_au() -> None:
    columns = list(SIDED.columns)
    assert "what covers a face does not lower it" in SIDED.columns["confidence"]["description"]
    assert "see the model's card" in SIDED.columns["AU12_left"]["description"], "of some it means nothing"
    assert columns[17:21] == ["AU01_left", "AU01_right", "AU12_left", "AU12_right"]
    told = face()
    sided = FaceRecord(
        told.face_id,
        told.confidence,
        told.pose,
        AUResult(
            told.result.intensity,
            told.result.raw_intensity,
            told.result.occurrence,
            np.array([[0.1, 0.2], [4.5, 5.0]], np.float32),
        ),
        told.box,
    )
    (line,) = SIDED.lines(FrameRecord(1, 0.0, (sided,), True))
    fields = dict(zip(columns, line.rstrip("\n").split(","), strict=True))
    assert [fields[name] for name in columns[17:21]] == ["0.100", "0.200", "4.500", "5.000"]
    (empty,) = SIDED.lines(FrameRecord(2, 0.1))
    assert len(empty.split(",")) == len(columns)
    (unknown,) = SIDED.lines(FrameRecord(3, 0.2, (face(),), True))
    assert dict(zip(columns, unknown.rstrip("\n").split(","), strict=True))["AU12_left"] == ""
