"""``rtatl evaluate``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rtatl_core.commands.options import add_device, positive

HELP = "models x coded data -> report with intervals, tables and plots"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--model", nargs="+", required=True, metavar="M", help="one model, or one for each fold")
    sub.add_argument("--data", nargs="+", type=Path, required=True, metavar="DIR", help="folders of rtatl prepare")
    sub.add_argument("--protocol", default="", metavar="P", help="bp4d, disfa, bp4d-fera or subjects:K")
    sub.add_argument("--fold", type=int, default=0, metavar="K", help="the fold to test on, if the card names none")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="report.md, report.json and plots")
    sub.add_argument("--resamples", type=positive, default=1000, metavar="N", help="of the bootstrap (default 1000)")
    add_device(sub)
    sub.add_argument("--card", metavar="M", help="put the numbers into this model's card, and write it in words")
    sub.add_argument("--title", metavar="TEXT", help="with --card: what was measured (default: the names)")


def run(options: argparse.Namespace) -> int:
    from rtatl_core.card import find_model
    from rtatl_core.errors import InputError
    from rtatl_core.evaluation.measures import measure
    from rtatl_core.evaluation.published_tables import PUBLISHED
    from rtatl_core.evaluation.report import left_out, write_report
    from rtatl_core.evaluation.scoring import score

    if options.title and not options.card:
        raise InputError("--title names the numbers in a card; name that with --card, or leave --title out")
    card = find_model(options.card) if options.card else None
    options.out.mkdir(parents=True, exist_ok=True)  # now, not after an hour
    scored, trained_on = score(options.model, options.data, options.protocol, fold=options.fold, device=options.device)
    result = measure(scored, resamples=options.resamples)
    models = dict.fromkeys(find_model(model).stem for model in options.model)  # those of folds share a name
    title = f"{', '.join(models)} on {', '.join(folder.resolve().name for folder in options.data)}"
    published = PUBLISHED.get(options.protocol)  # other protocols' numbers cannot be compared
    for said in left_out(result):
        print(f"rtatl: {said}", file=sys.stderr)
    write_report(result, scored, options.out, title=title, trained_on=trained_on, published=published)
    print(options.out / "report.md")
    if card is not None:
        from rtatl_core.evaluation.card_text import add_evaluation

        own = set(models) == {card.stem}  # or those of its folds
        print(add_evaluation(card, options.title or title, result, own=own))
    return 0
