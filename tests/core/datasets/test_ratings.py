"""AUs that raters saw on photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtatl_core.datasets.ratings import read_ratings
from rtatl_core.datasets.teacher import TEACHER_SHAPES, as_intensity, weak_labels
from rtatl_core.errors import RecipeError

TABLE = "image,AU04,AU12\na.jpg,3,0\nb.jpg,,2.5\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rated.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_ratings_of_photos_in_the_order_asked_for(tmp_path: Path) -> None:
    ratings = read_ratings(written(tmp_path, TABLE))
    assert ratings.aus == (4, 12)
    values = ratings.take(np.array(["b.jpg", "c.jpg", "a.jpg"]), (12, 1, 4))
    nan = np.nan
    np.testing.assert_array_equal(values, np.array([[2.5, nan, nan], [nan, nan, nan], [0, nan, 3]], np.float32))
    assert ratings.take([], (12, 1)).shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no table of ratings"),
        ("photo,AU04\na.jpg,3\n", "heading must be image,AU01"),
        ("image,brow\na.jpg,3\n", "heading must be image,AU01"),
        ("image,AU12,AU12\na.jpg,1,2\n", "each AU once"),
        ("image\na.jpg\n", "heading must be image,AU01"),
        ("image,AU112\na.jpg,1\n", "rates AU112; known are 1, 2"),
        ('image,AU12\na.jpg,1\nb.jpg,"\nc.jpg,2\n', "rated.csv is no table, line 4.*; name a table of r"),
        ("image,AU04\na.jpg,much\n", "line 2.*much.*write intensities"),
        ("image,AU04\na.jpg,3\nb.jpg,6\n", "line 3: a rating is beyond 0 to 5"),
        ("image,AU04\na.jpg,1e300\n", "line 2: a rating is beyond 0 to 5"),
        ("image,AU04\na.jpg,3,1\n", "line 2: 2 cells where the heading names 1"),
        ("image,AU04\na.jpg,3\na.jpg,2\n", "a.jpg is rated twice"),
        ("image,AU04\n\n\na.jpg,3\n,2\n", "line 5: the row names no photo"),
    ],
)
def test_what_is_no_table_is_refused_in_words(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        read_ratings(written(tmp_path, text))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"gone\.csv cannot be read \(No such file"):
        read_ratings(tmp_path / "gone.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(RecipeError, match="is no table of ratings"):
        read_ratings(tmp_path / "bytes.csv")


@pytest.mark.parametrize(
    "table",
    [
        "image;AU04;AU12\r\nmüller.jpg;2,5;0\r\n;;\r\n;;\r\n".encode("cp1252"),
        "image\tAU04\tAU12\r\nmüller.jpg\t2.5\t0\r\n".encode("utf-16"),
        "image, AU04, AU12\nmüller.jpg , 2.5, 0\n,,\n".encode(),
    ],
)
def test_ratings_as_spreadsheets_write_them(tmp_path: Path, table: bytes) -> None:
    (tmp_path / "rated.csv").write_bytes(table)
    ratings = read_ratings(tmp_path / "rated.csv")
    assert {image: values.tolist() for image, values in ratings.of_image.items()} == {"müller.jpg": [2.5, 0]}


def test_eyes_go_first_and_calm_proves_nothing_to_them() -> None:
    aus = (4, 9, 12, 43)
    calm = np.zeros(len(TEACHER_SHAPES), np.float32)
    calm[list(TEACHER_SHAPES).index(43)] = 0.5
    half_closed = as_intensity(calm, (43,))[0]
    assert 0 < half_closed < 1
    assert weak_labels(calm, np.array([2, 0, 3, 0], np.float32), aus) == pytest.approx([0.4, 0, 0.6, 0])
    calm[list(TEACHER_SHAPES).index(43)] = 0
    assert weak_labels(calm, None, aus).tolist() == [0, 0, 0, 0]
    unrated = np.full(4, np.nan, np.float32)
    assert weak_labels(calm, unrated, aus).tolist() == [0, 0, 0, 0]
    rated = np.array([2.5, np.nan, np.nan, 0], np.float32)
    labels = weak_labels(calm, rated, aus)
    assert labels[0] == pytest.approx(0.5)
    assert np.isnan(labels[1]), "the blendshapes know nothing of AU9 but that the face is calm"
    assert labels[2] == 0, "but of AU12 they do"
    np.testing.assert_array_equal(weak_labels(None, rated, aus), rated / 5)
