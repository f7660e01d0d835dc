"""Human FACS codings of the user's own videos: own tables, BORIS and ELAN exports. See docs/coding.md."""

from rtatl_core.datasets.codings.coding import MATCH_S, POINT_S, VideoCoding
from rtatl_core.datasets.codings.labels import OCCURS_FROM
from rtatl_core.datasets.codings.read import read_codings

__all__ = ["MATCH_S", "OCCURS_FROM", "POINT_S", "VideoCoding", "read_codings"]
