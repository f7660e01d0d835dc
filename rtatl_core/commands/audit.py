"""``rtatl audit``."""

from __future__ import annotations

import argparse
from pathlib import Path

from rtatl_core.commands.options import add_model

HELP = "a model on real faces without codes: rest, pose, flicker, groups"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    add_model(sub)
    sub.add_argument(
        "--clips", nargs="+", type=Path, default=[], metavar="DIR", help="of rtatl prepare videos --teacher"
    )
    sub.add_argument(
        "--photos", nargs="+", type=Path, default=[], metavar="DIR", help="of rtatl prepare photos --teacher"
    )
    sub.add_argument("--groups", type=Path, metavar="CSV", help="photo's file name, then columns of groups")
    sub.add_argument("--ratings", type=Path, metavar="CSV", help="AUs that raters saw on them: image,AU01,AU02,...")
    sub.add_argument("--card", action="store_true", help="put the numbers into the model's card, and write it in words")
    sub.add_argument("--stills", nargs="+", type=Path, default=[], metavar="PICTURE", help="for the flicker test")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="audit.md and audit.json")


def run(options: argparse.Namespace) -> int:
    from rtatl_core.evaluation import audit

    options.out.mkdir(parents=True, exist_ok=True)  # now, not after an hour
    result = audit.audit(
        options.model,
        options.clips,
        options.photos,
        groups=options.groups,
        ratings=options.ratings,
        stills=options.stills,
    )
    print(audit.write(result, options.out))
    if options.card:
        from rtatl_core.card import find_model
        from rtatl_core.evaluation.card_text import add_audit

        print(add_audit(find_model(options.model), result))
    return 0
