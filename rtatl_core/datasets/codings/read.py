"""A file or folder of coding files -> the coded videos."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from rtatl_core.datasets.codings import boris, own
from rtatl_core.datasets.codings.coding import Draft, Drafts, VideoCoding, video_key
from rtatl_core.datasets.codings.elan import read_elan
from rtatl_core.datasets.codings.own import Listing
from rtatl_core.datasets.codings.table import UNDERSTOOD, header_columns, read_rows
from rtatl_core.errors import RecipeError

CODING_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})


def read_codings(path: Path) -> list[VideoCoding]:
    """path: one file or a folder of them (.csv .tsv .txt, also in folders below); the format of each is recognised by
    its columns. In coding by events an AU counts as looked for in every video if it occurs anywhere in the set, unless
    a list of coded AUs says otherwise. Raises RecipeError naming file, line and remedy."""
    drafts: dict[str, Draft] = {}
    listings: list[Listing] = []
    for file in _files(path):
        found = _read(file)
        if not isinstance(found, Drafts):
            listings += found
            continue
        for key, draft in found.items():
            if key in drafts:
                before = drafts[key].first.path.name
                raise draft.first.error(f"{draft.video or file.stem} is coded in {before} already; keep one of them")
            drafts[key] = draft
    _settle_coded_aus(drafts, listings)
    aus = tuple(sorted({au for draft in drafts.values() for au in draft.coded}))
    if not aus:
        names = sorted({name for draft in drafts.values() for name in draft.ignored})
        what = f"only {', '.join(names[:5])}; name behaviours and tiers AU12, AU4 ..."
        raise RecipeError(f"{path} codes no action unit that is known, {what if names else 'its tables have no rows'}")
    _settle_subjects(drafts.values())
    return [draft.finish(aus) for draft in drafts.values()]


def _settle_subjects(drafts: Collection[Draft]) -> None:
    """Takes each video without a subject for a person of its own. Raises RecipeError for a person written in two ways,
    who might train under one name and test under the other."""
    unsaid = Counter(draft.person for draft in drafts if not draft.subject)
    written: dict[str, Draft] = {}
    for draft in drafts:
        if not draft.subject:
            draft.subject = draft.key if unsaid[draft.person] > 1 else draft.person
            continue
        plain = " ".join(unicodedata.normalize("NFC", draft.subject).casefold().split())
        plain = re.sub(r"(?<!\d) | (?!\d)", "", plain)  # P 01 is P01, but P1 0 is not P10
        other = written.setdefault(re.sub(r"(?<!\d)0+(?=\d)", "", plain), draft)
        if draft.subject != other.subject:
            raise draft.first.error(
                f"subject {draft.subject!r} is written {other.subject!r} in {other.first.path.name}, line "
                f"{other.first.line}; write one person one way, and two people in ways that differ by more"
            )


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in CODING_SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
    if not files:
        raise RecipeError(f"{path} holds no coding file ({', '.join(sorted(CODING_SUFFIXES))})")
    return files


def _read(file: Path) -> Drafts | list[Listing]:
    rows = read_rows(file)
    for index, header in enumerate(rows):  # BORIS 7 writes its header below a block about the observation
        columns = header_columns(header)
        before, after = rows[:index], rows[index + 1 :]
        if boris.is_tabular(columns):
            return boris.read_tabular(before, header, after, columns)
        if boris.is_aggregated(columns):
            return boris.read_aggregated(before, header, after, columns)
        if own.is_events(columns):
            return own.read_events(header, after, columns)
        if own.is_list(columns):
            return own.read_list(header, after, columns)
        if own.is_frames(columns):
            return own.read_frames(header, after, columns)
    found = read_elan(rows)
    if found is None:
        raise RecipeError(f"{file} is no coding that is understood; understood are {UNDERSTOOD}")
    return found


def _settle_coded_aus(drafts: dict[str, Draft], listings: Sequence[Listing]) -> None:
    """Settles which AUs were looked for in each video that is coded by events."""
    by_video: dict[str, Listing] = {}
    for listing in listings:
        key = video_key(listing.video)
        if key in by_video:
            raise listing.row.error(f"{listing.video} is listed in line {by_video[key].row.line} already; keep one row")
        by_video[key] = listing
    seen = {au for draft in drafts.values() if draft.by_time is None for au in draft.coded}
    others = by_video.pop(video_key("*"), None)
    for key, listing in by_video.items():
        # A video without any event is in no table of events; the list is where it is told to be neutral.
        draft = drafts.setdefault(key, Draft(listing.row, listing.video, unused=listing.unused))
        draft.call(listing.row, listing.video)
        draft.set_subject(listing.row, listing.subject)
        if draft.by_time is not None:
            raise listing.row.error(
                f"{listing.video} is coded by frames, where an empty cell says not coded; drop the row"
            )
    for key, draft in drafts.items():
        if draft.by_time is not None:
            continue
        listed = by_video.get(key, others)
        if listed is None:
            draft.coded = set(seen)
            continue
        if missed := draft.coded - listed.aus:
            raise listed.row.error(
                f"AU{min(missed)} is not listed for {draft.video or draft.first.path.name}, yet coded in "
                f"{draft.first.path.name}; add it to the list"
            )
        draft.coded = set(listed.aus)
        draft.ignored.update(listed.unknown)
