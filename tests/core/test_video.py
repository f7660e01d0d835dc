"""VideoReader against little videos whose pictures tell their number."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtatl_core.errors import SourceError
from rtatl_core.matroska import breaks_off as matroska_breaks_off
from rtatl_core.matroska import first_picture_s, is_whole
from rtatl_core.mp4 import breaks_off, shown_s
from rtatl_core.video import VideoReader
from tests.clips import (
    announce_more,
    begin_later,
    begin_with_header,
    damage_frame,
    number_of,
    rotate_in_header,
    shorten_first_durations,
    squeeze_in_header,
    trim_in_header,
    write_clip,
)
from tests.fragments import write_fragments


def test_every_frame_comes_once_in_order_with_its_media_time(tmp_path: Path) -> None:
    with VideoReader(write_clip(tmp_path / "clip.mp4", frames=20, fps=25)) as reader:
        assert reader.size == (96, 64)
        assert reader.fps == pytest.approx(25)
        assert reader.frame_count == 20
        assert reader.duration_s == pytest.approx(0.8)
        packets = list(reader)
        assert reader.read() is None
    assert [packet.number for packet in packets] == list(range(1, 21))
    assert [number_of(packet.image) for packet in packets] == list(range(1, 21))
    assert [packet.timestamp for packet in packets] == pytest.approx([n / 25 for n in range(20)])
    assert not reader.truncated
    assert reader.warning is None


def test_variable_frame_rate_keeps_the_times_of_the_container(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "phone.mp4", frames=20, fps=25)
    shorten_first_durations(path, 10)
    with VideoReader(path) as reader:
        packets = list(reader)
    assert not any(packet.lost for packet in packets), "a longer step is no lost frame"
    times = [packet.timestamp for packet in packets]
    assert times == pytest.approx([0.02 * n for n in range(10)] + [0.2 + 0.04 * n for n in range(10)], abs=1e-3)


def test_rotation_of_a_phone_is_obeyed(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "phone.mp4", size=(96, 64))
    rotate_in_header(path)
    with VideoReader(path) as reader:
        packet = reader.read()
        assert reader.size == (64, 96)
    assert packet is not None
    assert packet.image.shape == (96, 64, 3)


@pytest.mark.parametrize(
    ("pixel", "turned", "size"),
    [
        ((4, 3), False, (128, 64)),
        ((3, 4), False, (96, 85)),
        ((4, 3), True, (64, 128)),
        ((101, 100), False, (96, 64)),
        ((1, 90), False, (96, 64)),
    ],
    ids=["wide", "high", "turned", "rounded", "nonsense"],
)
def test_pixels_that_are_not_square_are_made_so(
    tmp_path: Path, pixel: tuple[int, int], turned: bool, size: tuple[int, int]
) -> None:
    path = write_clip(tmp_path / "camcorder.mp4", frames=3, size=(96, 64))
    squeeze_in_header(path, *pixel)
    if turned:
        rotate_in_header(path)
    with VideoReader(path) as reader:
        assert reader.size == size
        assert [packet.image.shape for packet in reader] == [(size[1], size[0], 3)] * 3


def test_pictures_that_begin_later_than_the_file_are_told(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=20, fps=25)
    with VideoReader(path) as reader:
        assert reader.start_s == 0
    begin_later(path, 0.4)
    with VideoReader(path) as reader:
        assert reader.start_s == pytest.approx(0.4)
        assert [packet.timestamp for packet in reader] == pytest.approx([n / 25 for n in range(20)])
    damage_frame(path, 1)
    with VideoReader(path) as reader:
        assert reader.start_s == pytest.approx(0.4), "of frame 1, although it is lost"
        packet = reader.read()
    assert packet is not None
    assert (packet.number, packet.timestamp) == (2, pytest.approx(0.04))


def test_that_pictures_begin_later_is_told_where_the_header_tells_no_rate(tmp_path: Path) -> None:
    """As browsers write WebM; OpenCV then knows no time in the file."""
    path = write_clip(tmp_path / "browser.mkv", frames=20, fps=25)
    assert first_picture_s(path) == 0
    data = bytearray(path.read_bytes())
    rate, first = data.index(b"\x23\xe3\x83"), data.index(b"\xe7\x81\x00", data.rindex(b"\x1f\x43\xb6\x75"))
    length = 2 + data[rate + 3] % 0x80
    data[rate : rate + 2 + length] = b"\xec" + bytes([0x80 + length]) + bytes(length)  # void
    data[first + 2] = 200  # milliseconds
    path.write_bytes(data)
    with VideoReader(path) as reader:
        assert reader.start_s == pytest.approx(0.2)
        assert [packet.timestamp for packet in reader] == pytest.approx([n / 25 for n in range(20)], abs=0.001)
    for end in (10, data.index(b"\xe7\x81"), data.index(b"\xa3", first)):
        path.write_bytes(data[:end])
        assert first_picture_s(path) is None
    path.write_bytes(write_clip(tmp_path / "other.mp4", frames=2).read_bytes())
    assert first_picture_s(path) is None


def test_a_trimmed_video_is_as_long_as_what_it_shows_and_not_cut_off(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "phone.mp4", frames=24, fps=25)
    trim_in_header(path, 0.2, 0.4)
    with VideoReader(path) as reader:
        assert (reader.frame_count, reader.duration_s) == (10, pytest.approx(0.4))
        packets = list(reader)
    assert [number_of(packet.image) for packet in packets] == list(range(6, 16))
    assert [packet.timestamp for packet in packets] == pytest.approx([n / 25 for n in range(10)])
    assert not reader.truncated
    path.write_bytes(path.read_bytes()[:-2000])  # with the header, which cv2 writes last
    assert shown_s(path) is None
    for begins in (b"\0\0\0\1", b"\0\0\0\0", b"\0\0\0\x20", b"RIFF"):  # the first is how raw H.264 does
        path.write_bytes(begins + b"moov" + b"\xff" * 40)
        assert shown_s(path) is None


class _Timeless:
    """A cv2.VideoCapture whose container has no times, or times that stand still or jump back."""

    def __init__(self, times_ms: list[float]) -> None:
        self._times = times_ms
        self._read = 0

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def set(self, key: int, value: float) -> None: ...

    def get(self, key: int) -> float:
        if key == cv2.CAP_PROP_POS_MSEC:
            return self._times[self._read - 1]
        return {cv2.CAP_PROP_FPS: 50.0, cv2.CAP_PROP_PTS: 0.05 * sum(self._times[:1])}.get(key, float("nan"))

    def read(self) -> tuple[bool, np.ndarray | None]:
        self._read += 1
        return (True, np.zeros((4, 4, 3), np.uint8)) if self._read <= len(self._times) else (False, None)

    def grab(self) -> bool:
        return False

    def release(self) -> None: ...


@pytest.mark.parametrize(
    ("container_ms", "expected_s"),
    [
        ([0, 0, 0], [0, 0.02, 0.04]),
        ([500, 540, 580], [0, 0.04, 0.08]),
        ([0, 40, 20, 100], [0, 0.04, 0.06, 0.1]),
    ],
    ids=["none at all", "begins later", "jumps back"],
)
def test_times_begin_at_zero_and_always_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container_ms: list[float], expected_s: list[float]
) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x")
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: _Timeless(container_ms))
    with VideoReader(tmp_path / "clip.mp4") as reader:
        assert reader.frame_count is None
        assert reader.duration_s is None
        assert reader.start_s == (None if container_ms[0] else 0), "this file may count from any moment"
        assert [packet.timestamp for packet in reader] == pytest.approx(expected_s)


@pytest.mark.parametrize(("ending", "codec"), [("ts", "mp4v"), ("mpg", "mpg2")])
def test_a_stream_whose_sound_begins_first_was_not_cut_off(tmp_path: Path, ending: str, codec: str) -> None:
    """As recordings of broadcasts and camcorders do. FFmpeg takes its length from the times in it."""
    with VideoReader(write_clip(tmp_path / f"broadcast.{ending}", 50, codec=codec)) as reader:
        assert reader.frame_count is not None
        reader.frame_count += 20
        frames = len(list(reader))
    assert frames >= 48
    assert not reader.truncated
    assert reader.warning is not None
    assert "its sound probably begins before or ends after them" in reader.warning


def test_a_piece_of_a_longer_recording_lacks_nothing_before_its_first_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut out at half an hour without being coded anew, a Matroska file keeps its times; the last is its length."""

    class Piece(_Timeless):
        def get(self, key: int) -> float:
            return 1801.0 * 50 if key == cv2.CAP_PROP_FRAME_COUNT else super().get(key)

    (tmp_path / "piece.mkv").write_bytes(b"\x1aE\xdf\xa3")
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Piece([1_800_000 + 20.0 * n for n in range(50)]))
    monkeypatch.setattr("rtatl_core.video._MOST_TRIES", 100)
    with VideoReader(tmp_path / "piece.mkv") as reader:
        assert reader.start_s is None
        assert len(list(reader)) == 50
    assert (reader.truncated, reader.warning) == (False, None)


def test_a_file_that_counts_from_a_clock_of_its_own_can_be_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As FLV that was recorded from a stream: its length is that of what it holds."""

    class Stream(_Timeless):
        def get(self, key: int) -> float:
            return 100.0 if key == cv2.CAP_PROP_FRAME_COUNT else super().get(key)

    (tmp_path / "stream.flv").write_bytes(b"FLV\x01")
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Stream([1_800_000 + 20.0 * n for n in range(50)]))
    monkeypatch.setattr("rtatl_core.video._MOST_TRIES", 100)
    with VideoReader(tmp_path / "stream.flv") as reader:
        assert len(list(reader)) == 50
    assert reader.truncated


def test_a_file_that_was_cut_off_gives_its_frames_and_a_warning(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "cut.avi", frames=60, codec="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with VideoReader(path) as reader:
        frames = len(list(reader))
    assert 20 <= frames < 40
    assert reader.truncated
    assert reader.warning is not None
    assert "cut.avi" in reader.warning
    assert "of 2.4 s" in reader.warning


@pytest.mark.parametrize("late_s", [0.0, 2.0])
def test_an_mp4_that_was_cut_off_is_not_whole_because_its_sound_begins_first(tmp_path: Path, late_s: float) -> None:
    """Its header counts pictures, wherever they begin."""
    path = write_clip(tmp_path / "web.mp4", 100)
    if late_s:
        begin_later(path, late_s)
    begin_with_header(path)
    with VideoReader(path) as reader:
        assert reader.start_s == late_s
        assert len(list(reader)) == 100
    assert (reader.truncated, reader.warning) == (False, None)
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])
    with VideoReader(path) as reader:
        assert 50 < len(list(reader)) < 80
    assert reader.truncated
    assert reader.warning is not None
    assert "of 4.0 s" in reader.warning


@pytest.mark.parametrize("lacking", [1, 2, 3, 40, 400])
def test_a_fragmented_file_that_ends_within_a_fragment_was_cut_off(tmp_path: Path, lacking: int) -> None:
    """Its beginning tells no length, so what is there looks like all."""
    path = write_fragments(tmp_path / "browser.mp4", 40)
    with VideoReader(path) as reader:
        assert len(list(reader)) == 40
    assert (reader.truncated, reader.warning) == (False, None)
    data = path.read_bytes()
    path.write_bytes(data[:-lacking])
    with VideoReader(path) as reader:
        frames = len(list(reader))
    assert 30 <= frames <= 40
    assert reader.truncated
    assert reader.warning is not None
    assert reader.warning.startswith("browser.mp4 breaks off after 1.")
    assert "so it was cut off" in reader.warning


@pytest.mark.parametrize("lacking", [0, 1, 30, 500, 3000])
def test_a_matroska_file_without_a_length_that_ends_within_a_block_was_cut_off(tmp_path: Path, lacking: int) -> None:
    """As browsers record: they cannot go back to write how long it became."""
    path = write_clip(tmp_path / "browser.mkv", 40)
    data = bytearray(path.read_bytes())
    duration = data.index(b"\x44\x89\x88")
    data[duration : duration + 11] = b"\xec\x89" + bytes(9)  # void
    for element in (b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"):
        size = data.index(element) + 4
        count = 9 - data[size].bit_length()
        data[size : size + count] = ((2 << 7 * count) - 1).to_bytes(count, "big")  # unknown
    cues = data.rindex(b"\x1c\x53\xbb\x6b")
    path.write_bytes(data[: cues - lacking])
    with VideoReader(path) as reader:
        frames = len(list(reader))
    assert reader.duration_s is None
    assert (frames == 40) == (lacking == 0)
    assert reader.truncated == (lacking > 0)


@pytest.mark.parametrize("kind", [b"\xec", b"\xd7", b"\xe7", b"\x1a\x45\xdf\xa3"])
def test_a_damaged_length_in_a_matroska_file_leads_nowhere(tmp_path: Path, kind: bytes) -> None:
    """Some say more bytes than a file system knows, or a memory holds."""
    head = b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01\0\0\0\0\0\0\x10"
    path = tmp_path / "damaged.mkv"
    for damaged in (kind + b"\x01" + b"\xf0" * 7, kind + b"\x08\xff\xff\xff\xff"):
        path.write_bytes((b"" if kind == head[:4] else head) + damaged + bytes(7))
        assert first_picture_s(path) is None
        assert is_whole(path) is False
        assert matroska_breaks_off(path)


def test_only_fragments_break_off(tmp_path: Path) -> None:
    path = write_fragments(tmp_path / "browser.mp4", 10)
    data = path.read_bytes()
    moof = data.rindex(b"moof") - 4
    mdat = moof + int.from_bytes(data[moof : moof + 4], "big")
    for end, broken in ((moof, False), (moof + 3, True), (moof + 50, True), (mdat, True), (mdat + 4, True)):
        path.write_bytes(data[:end])
        assert breaks_off(path) == broken, f"{end - moof} bytes into a fragment"
    path.write_bytes(data[:mdat] + bytes(4) + data[mdat + 4 : -4])
    assert not breaks_off(path), "a box without a size lasts to the end"
    for other in (b"", b"mo", b"RIFF" * 20, (1 << 20).to_bytes(4, "big") + b"mdat" + bytes(40)):
        path.write_bytes(other)
        assert not breaks_off(path)


@pytest.mark.skipif(sys.platform == "win32", reason="nobody removes an open file there")
def test_a_disk_that_is_unplugged_is_no_file_that_was_cut_off(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "cut.avi", frames=60, codec="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])  # as if no more could be read
    with VideoReader(path) as reader:
        path.unlink()
        with pytest.raises(SourceError, match=r"There is no file .*cut\.avi"):
            list(reader)


@pytest.mark.parametrize("damaged", [(13,), (7, 8), (1, 2), (4, 9)])
def test_a_damaged_frame_is_named_and_the_rest_is_read_with_its_times(tmp_path: Path, damaged: tuple[int, ...]) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    for number in reversed(damaged):
        damage_frame(path, number)
    with VideoReader(path) as reader:
        packets = list(reader)
        assert reader.read() is None
        assert not reader.truncated
    assert [packet.number for packet in packets] == [n for n in range(1, 21) if n not in damaged]
    assert [packet.number for packet in packets] == [number_of(packet.image) for packet in packets]
    assert [packet.timestamp for packet in packets] == pytest.approx([(p.number - 1) / 25 for p in packets])
    lost = [frame for packet in packets for frame in packet.lost]
    assert [number for number, _ in lost] == list(damaged)
    assert [timestamp for _, timestamp in lost] == pytest.approx([(number - 1) / 25 for number in damaged])


class _Silent(_Timeless):
    """As H.264 with a damaged middle: no read fails, 4 and 5 of 24 frames are left out, then 4 comes late after all. By
    the packets, which lie in another order than they are shown and of which that of 5 is damaged, both were there."""

    SHOWN = (1, 2, 3, 6, 7, 4, *range(8, 25))
    PACKETS = (1, 3, 2, 4, None, 7, 6, *range(8, 25))

    def __init__(self, path: str, backend: int, parameters: Sequence[int] = ()) -> None:
        super().__init__([40.0 * (n or 0) for n in (self.PACKETS if parameters else self.SHOWN)])

    def get(self, key: int) -> float:
        return {cv2.CAP_PROP_FPS: 25.0, cv2.CAP_PROP_FRAME_COUNT: 24.0}.get(key) or super().get(key)

    def grab(self) -> bool:
        return self.read()[0] and self.PACKETS[self._read - 1] is not None


def test_frames_that_a_decoder_leaves_out_without_a_word_are_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x")
    monkeypatch.setattr(cv2, "VideoCapture", _Silent)
    with VideoReader(tmp_path / "clip.mp4") as reader:
        packets = list(reader)
        assert not reader.truncated
    assert [packet.number for packet in packets] == [1, 2, 3, *range(6, 25)]
    assert [packet.timestamp for packet in packets] == pytest.approx([(p.number - 1) / 25 for p in packets])
    assert [number for packet in packets for number, _ in packet.lost] == [4, 5]


class _SilentLate(_Silent):
    """The same, after half an hour."""

    PACKETS = tuple(range(1, 45_001))
    SHOWN = (*PACKETS[:-24], *PACKETS[-23:])


def test_how_late_a_frame_is_missed_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x")
    monkeypatch.setattr(cv2, "VideoCapture", _SilentLate)
    begun = time.process_time()
    with VideoReader(tmp_path / "clip.mp4") as reader:
        lost = [number for packet in reader for number, _ in packet.lost]
    assert lost == [44_977]
    assert time.process_time() - begun < 10, "each packet is looked at once; all of them again for each took 20 s"


@pytest.mark.parametrize("ending", ["ts", "mpg"])
def test_recordings_that_were_joined_are_read_to_the_end_whatever_was_lost(tmp_path: Path, ending: str) -> None:
    """As camcorders split long ones: the times of each part begin anew."""
    first, second = (
        write_clip(tmp_path / f"{part}.{ending}", frames, codec="mpg2") for part, frames in ((1, 60), (2, 20))
    )
    whole, at = bytearray(first.read_bytes()), -1
    for _ in range(30):
        at = whole.index(b"\0\0\1\0", at + 1)  # begins every picture of MPEG-2
    whole[at : at + 8] = b"\xff" * 8
    first.write_bytes(whole + second.read_bytes())
    with VideoReader(first) as reader:
        packets = list(reader)
    assert any(packet.lost for packet in packets)
    assert [number_of(packet.image) for packet in packets[-20:]] == list(range(1, 21))
    assert (np.diff([packet.timestamp for packet in packets]) > 0).all()


def test_a_picture_that_opencv_cannot_hold_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(_Timeless):
        def read(self) -> tuple[bool, np.ndarray | None]:
            found = super().read()
            if self._read == 3:
                raise cv2.error("Assertion failed: _step >= minstep")
            return found

    (tmp_path / "clip.ts").write_bytes(b"x")
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Refusing([20.0 * n for n in range(5)]))
    with VideoReader(tmp_path / "clip.ts") as reader:
        packets = list(reader)
    assert [packet.number for packet in packets] == [1, 2, 4, 5]
    assert packets[2].lost == ((3, pytest.approx(0.04)),)


def _missing(path: Path) -> Path:
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _empty(path: Path) -> Path:
    path.touch()
    return path


def _text(path: Path) -> Path:
    path.write_text("no video", encoding="utf-8")
    return path


def _device(path: Path) -> Path:
    path.symlink_to(os.devnull)
    return path


def _unfinished(path: Path) -> Path:
    """An MP4 whose writer was killed: its index, at the end of the file, is missing."""
    write_clip(path)
    path.write_bytes(path.read_bytes()[:-400])
    return path


def _of_a_kind_nobody_knows(path: Path) -> Path:
    data = write_clip(path.with_suffix(".avi"), codec="MJPG").read_bytes()
    path.write_bytes(data.replace(b"MJPG", b"XYZW"))
    return path


DEVICES_ARE_FILES = pytest.mark.skipif(sys.platform == "win32", reason="there they have names of their own")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_missing, "There is no file"),
        (_folder, "is a folder"),
        (_empty, "is empty"),
        (_text, "cannot be read as a video"),
        pytest.param(_device, "is a pipe or a device, not a file; save", marks=DEVICES_ARE_FILES),
        (_unfinished, "cannot be read as a video"),
        (_of_a_kind_nobody_knows, "cannot be read as a video"),
    ],
)
def test_an_unusable_file_is_named_with_what_is_wrong(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], make, says: str
) -> None:
    path = make(tmp_path / "clip.mp4")
    with pytest.raises(SourceError, match=says) as caught:
        VideoReader(path)
    assert str(path) in str(caught.value)
    assert capfd.readouterr().err == "", "one sentence, and no lines of OpenCV's before it"


def test_what_is_said_of_a_folder_names_a_command_only_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command, told in (
        (lambda *words: f"rtatl {' '.join(words)}", f"or analyse all of it with: rtatl analyze {tmp_path} --out"),
        (lambda *words: None, "; folders are for rtatl analyze, which comes with an installation from source"),
    ):
        monkeypatch.setattr("rtatl_core.video.rtatl_command", command)
        with pytest.raises(SourceError, match="is a folder") as caught:
            VideoReader(tmp_path)
        assert told in str(caught.value)


@pytest.mark.parametrize(("coding", "named"), [(cv2.VideoWriter.fourcc(*"AV01"), r" \(AV01\)"), (0, "")])
def test_a_video_without_a_picture_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coding: int, named: str
) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x")
    empty = _Timeless([])
    monkeypatch.setattr(empty, "get", lambda key: coding if key == cv2.CAP_PROP_FOURCC else 0.0)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: empty)
    with pytest.raises(SourceError, match=f"no picture .* its coding{named} is not known here; .* to MP4 with H.264"):
        VideoReader(tmp_path / "clip.mp4")


@pytest.mark.parametrize("damage", ["none", "last byte", "cut off", "hollow"])
def test_pictures_that_end_before_the_sound_are_not_cut_off(tmp_path: Path, damage: str) -> None:
    """Matroska tells the length of its longest track. Here it tells two seconds more than there are pictures for."""
    clip = announce_more(write_clip(tmp_path / "longer sound.mkv", 300), 2.0)
    data = bytearray(clip.read_bytes())
    middle = len(data) * 3 // 5
    if damage == "last byte":
        del data[-1]
    elif damage == "cut off":
        del data[middle:]
    elif damage == "hollow":  # copied in part into a file of full size
        data[middle:] = bytes(len(data) - middle)
    clip.write_bytes(data)
    with VideoReader(clip) as reader:
        frames = sum(1 for _ in reader)
    assert reader.duration_s == pytest.approx(14)
    assert (frames == 300) == (damage in ("none", "last byte"))
    assert reader.truncated == (damage != "none")
    assert ("is whole, so its sound is probably longer" if damage == "none" else "so it was cut off") in reader.warning


@pytest.mark.parametrize("size", [(97, 65), (64, 96), (1, 1)], ids=["odd", "upright", "smallest"])
def test_odd_sizes_are_read_as_they_are(tmp_path: Path, size: tuple[int, int]) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "odd.avi"), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), 25, size)
    for _ in range(5):
        writer.write(np.full((size[1], size[0], 3), 90, np.uint8))
    writer.release()
    with VideoReader(tmp_path / "odd.avi") as reader:
        assert reader.size == size
        assert [packet.image.shape for packet in reader] == [(size[1], size[0], 3)] * 5


def test_a_video_of_no_duration_is_named(tmp_path: Path) -> None:
    """A header that promises a video, and no picture after it."""
    whole = write_clip(tmp_path / "clip.avi", frames=1, codec="MJPG").read_bytes()
    (tmp_path / "none.avi").write_bytes(whole[: whole.index(b"movi") + 4])
    with pytest.raises(SourceError, match=r"none\.avi"):
        VideoReader(tmp_path / "none.avi")


def test_a_whole_video_that_begins_late_is_not_cut_off(tmp_path: Path) -> None:
    """Matroska tells the length of the file, not the number of its pictures; here the first two seconds are void."""
    clip = write_clip(tmp_path / "late.mkv", 300)
    data = bytearray(clip.read_bytes())
    cluster = b"\x1f\x43\xb6\x75"
    first = data.index(cluster)
    second = data.index(cluster, first + 4)
    void = second - first - 9
    data[first:second] = b"\xec\x01" + void.to_bytes(7, "big") + bytes(void)
    clip.write_bytes(data)
    with VideoReader(clip) as reader:
        frames = sum(1 for _ in reader)
    assert frames < 270
    assert reader.start_s == pytest.approx((300 - frames) / 25)
    assert reader.duration_s == pytest.approx(12)
    assert not reader.truncated
