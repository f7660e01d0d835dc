"""``rtatl synth``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rtatl_core.commands.options import above_0, add_jobs, natural, positive
from rtatl_core.errors import InputError
from rtatl_core.handoffs import CHIP_SIDE

if TYPE_CHECKING:
    from rtatl_core.handoffs import UInt8
    from rtatl_core.synthetic.moved import MovedClip, MovedPhotos
    from rtatl_core.synthetic.studio import Sources

HELP = "labelled faces from 3D rigs: stills, clips, exact AUs and flow"
RESUMABLE = True
"""After an interruption the same command continues."""
_SIZE = 256


def add_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--rig",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="FaceXModel folder of ICT-FaceKit, or a folder of VALID avatars; several take turns",
    )
    sub.add_argument("--out", type=Path, metavar="DIR", help="run again to go on after an interruption")
    sub.add_argument("--count", type=natural, default=0, metavar="N", help="stills, rounded up to whole people")
    sub.add_argument("--clips", type=natural, default=0, metavar="N", help="clips, with exact optical flow")
    sub.add_argument(
        "--flow",
        choices=["later", "rest"],
        help="exact flow of clips to the frame 0.2 s later (default), or of clips and stills to the same face at rest",
    )
    sub.add_argument("--seconds", type=above_0, default=4.0, metavar="S", help="length of a clip (default 4)")
    sub.add_argument("--seed", type=natural, default=0, metavar="S", help="same seed, same pictures (default 0)")
    sub.add_argument(
        "--photos",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="move these photos instead of rendering heads",
    )
    sub.add_argument("--ratings", type=Path, metavar="CSV", help="with --photos: AUs that they show, image,AU01,...")
    sub.add_argument("--hdri", type=Path, metavar="DIR", help="equirectangular .hdr pictures for light and background")
    sub.add_argument("--size", type=natural, metavar="PX", help=f"side of the pictures (default {_SIZE})")
    sub.add_argument(
        "--chips",
        action="store_true",
        help="keep aligned chips for training instead of pictures, as rtatl prepare does",
    )
    sub.add_argument(
        "--side", type=positive, default=CHIP_SIDE, metavar="PX", help=f"with --chips: their side (default {CHIP_SIDE})"
    )
    add_jobs(sub)
    sub.add_argument("--check", action="store_true", help="ask the rigs what must hold before anything is made of them")
    sub.add_argument("--sheet", type=Path, metavar="PNG", help="a contact sheet of random people and expressions")
    sub.add_argument("--au-sheet", type=Path, metavar="PNG", help="one head of the first rig, each AU alone at FACS 5")


def run(options: argparse.Namespace) -> int:
    from rtatl_core.synthetic.studio import Sources
    from rtatl_core.synthetic.surroundings import hdr_files

    if not (options.check or options.sheet or options.au_sheet or options.count or options.clips):
        raise InputError("rtatl synth has nothing to do; write --count N, --clips N, --check, --sheet or --au-sheet")
    if (options.count or options.clips) and options.out is None:
        raise InputError("rtatl synth needs --out DIR for what it makes")
    for sheet in filter(None, (options.sheet, options.au_sheet)):
        _check_picture(sheet)
    if options.photos or options.ratings:
        _move_photos(options)
        return 0
    sources = Sources(tuple(options.rig), hdr_files(options.hdri), _SIZE if options.size is None else options.size)
    if options.check and not _check(sources):
        return 1
    if options.sheet or options.au_sheet:
        _sheets(sources, options.sheet, options.au_sheet, options.seed)
    if options.count or options.clips:
        _generate(sources, options)
    return 0


def _move_photos(options: argparse.Namespace) -> None:
    """Raises InputError where --photos and the other options do not go together."""
    from rtatl_core.datasets.ratings import read_ratings
    from rtatl_core.synthetic.generate import prepare_moved
    from rtatl_core.synthetic.moved import moved_clips, moved_units

    if not (options.photos and options.ratings):
        raise InputError("photos are moved from what they show; write both --photos DIR and --ratings CSV")
    of_rendering = ("check", "au_sheet", "hdri", "flow", "size", "chips")
    if given := [f"--{name.replace('_', '-')}" for name in of_rendering if getattr(options, name) not in (None, False)]:
        raise InputError(f"--photos goes with --count, --clips and --sheet; leave {' and '.join(given)} out")
    ratings, rigs = read_ratings(options.ratings), tuple(options.rig)
    if options.sheet:
        from rtatl_core.synthetic.sheet import moved_sheet

        _write_sheet(options.sheet, moved_sheet(moved_units(options.photos, ratings, rigs, options.seed)))
    if options.count or options.clips:
        units: list[MovedPhotos | MovedClip] = []
        if options.count:
            units += moved_units(options.photos, ratings, rigs, options.seed, options.count)
        if options.clips:
            units += moved_clips(options.photos, ratings, rigs, options.seed, options.clips, options.seconds)
        print(prepare_moved(units, options.out, side=options.side, jobs=options.jobs), file=sys.stderr)


def _check(sources: Sources) -> bool:
    from rtatl_core.synthetic.gates import check
    from rtatl_core.synthetic.studio import Studio

    studio, passed = Studio(sources), True
    for rig in studio.rigs:
        for verdict in check(studio, rig, heads=24, seed=0):
            passed &= verdict.passed
            print(f"{rig.name}: {verdict.name}: {'passed' if verdict.passed else 'FAILED'}")
            for line in verdict.lines:
                print(f"  {line}")
    return passed


_UNWRITABLE = "{} cannot be written; name a .png in a folder that you may write"


def _check_picture(path: Path) -> None:
    """Before minutes of rendering. Raises InputError for a picture that cannot be written, as far as its name tells."""
    import cv2

    if not (path.parent.is_dir() and cv2.haveImageWriter(str(path))):
        raise InputError(_UNWRITABLE.format(path))


def _sheets(sources: Sources, random: Path | None, of_aus: Path | None, seed: int) -> None:
    from rtatl_core.synthetic.sheet import au_sheet, random_sheet
    from rtatl_core.synthetic.studio import Studio

    studio = Studio(sources)
    sheets = []
    if random is not None:
        sheets.append((random, random_sheet(studio, 8, 6, seed)))
    if of_aus is not None:
        sheets.append((of_aus, au_sheet(studio, studio.rigs[0], seed)))
    for path, image in sheets:
        _write_sheet(path, image)


def _write_sheet(path: Path, image: UInt8) -> None:
    """image: RGB."""
    import cv2

    if not cv2.imwrite(str(path), image[..., ::-1]):
        raise InputError(_UNWRITABLE.format(path))
    print(path)


def _generate(sources: Sources, options: argparse.Namespace) -> None:
    from rtatl_core.synthetic.generate import generate, prepare_directly, units_of

    to_rest = options.flow == "rest"
    units = units_of(sources, options.count, options.clips, options.seed, options.seconds, to_rest=to_rest)
    if options.chips:
        print(prepare_directly(units, options.out, side=options.side, jobs=options.jobs), file=sys.stderr)
    else:
        count = generate(units, options.out, jobs=options.jobs)
        print(f"{options.out}: {count} pictures", file=sys.stderr)
