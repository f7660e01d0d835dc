"""Which task helps, with how few labels: a grid of variants x label shares x seeds from one recipe.

A recipe with a section

    [ablation]
    shares = [0.01, 0.05, 0.2]          # data.label_share
    seeds = [0, 1, 2]                   # optim.seed: initial weights, batches and which faces keep their codes
    [ablation.variants]
    baseline = ["network.relation_layers=0", "tasks.inpainting=0", "tasks.flow=0"]

Every run is tested on the recipe's test fold, of which nothing was seen, by the checkpoint of ``optim.choose``; write
last, since with this few labels nobody has coded faces to spare for choosing. Finished runs are kept, so the grid can
be interrupted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from rtatl_core import markdown
from rtatl_core.errors import RecipeError
from rtatl_core.files import replace_file
from rtatl_core.handoffs import Float64
from rtatl_core.parallel import work_through
from rtatl_core.progress import progress
from rtatl_core.training.recipe import build_recipe, override, read_table

MEASURES = {"pcc": "PCC", "icc31": "ICC(3,1)", "auc": "AUC", "f1": "F1"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of the grid."""

    variant: str
    share: float
    seed: int
    settings: tuple[str, ...]

    @property
    def folder(self) -> str:
        return f"{self.variant}_{self.share:g}_{self.seed}"


def read_grid(table: dict[str, Any]) -> list[Cell]:
    """Raises RecipeError when the section is missing or incomplete."""
    section = table.get("ablation")
    if not isinstance(section, dict) or not {"shares", "seeds", "variants"} <= section.keys():
        raise RecipeError(
            "the recipe has no [ablation] section with shares, seeds and variants; see runs/ablation.toml"
        )
    shares, seeds, variants = section["shares"], section["seeds"], section["variants"]
    settled = isinstance(variants, dict) and variants and all(_are(one, str) for one in variants.values())
    if not (settled and _are(shares, (int, float)) and _are(seeds, int) and shares and seeds):
        raise RecipeError(
            "[ablation] is no grid; write shares = [0.05, 0.2] and seeds = [0, 1, 2], each number once, and for each "
            'variant a list of settings, as in baseline = ["tasks.flow=0"]'
        )
    return [
        Cell(variant, float(share), seed, (*settings, f"data.label_share={share}", f"optim.seed={seed}"))
        for seed in seeds
        for share in shares
        for variant, settings in variants.items()
    ]


def _are(values: object, kind: type | tuple[type, ...]) -> bool:
    """A list of such values, each once."""
    return isinstance(values, list) and all(isinstance(v, kind) for v in values) and len({*values}) == len(values)


def ablate(recipe: Path, out: Path, overrides: tuple[str, ...] = (), jobs: int = 1) -> Path:
    """Run what is missing of the grid and write ``ablation.json`` and ``ablation.md`` in ``out``. Returns the latter.
    Raises RecipeError for an unusable recipe and TrainingError when a run fails."""
    table = override(read_table(recipe), overrides)
    cells = read_grid(table)
    shown = {variant: list(settings) for variant, settings in table["ablation"]["variants"].items()}
    plain = {key: value for key, value in table.items() if key != "ablation"}
    for cell in cells:
        build_recipe(override(plain, cell.settings))  # every mistake now, not after an hour
    missing = [cell for cell in cells if not _is_done(cell, plain, out)]
    done = work_through(partial(run_cell, table=plain, out=out), missing, jobs)
    for _ in progress(done, desc="ablation", unit="run", total=len(missing)):
        pass
    results = [json.loads((out / cell.folder / "result.json").read_text(encoding="utf-8")) for cell in cells]
    (out / "ablation.json").write_text(
        json.dumps({"variants": shown, "runs": results}, indent=1) + "\n", encoding="utf-8"
    )
    report = out / "ablation.md"
    report.write_text(render(results), encoding="utf-8")
    return report


def _is_done(cell: Cell, table: dict[str, Any], out: Path) -> bool:
    """Raises RecipeError when it was done by another recipe."""
    folder = out / cell.folder
    if not (folder / "result.json").is_file():
        return False
    wanted = json.loads(json.dumps(build_recipe(override(table, cell.settings)).to_json()))
    if json.loads((folder / "recipe.json").read_text(encoding="utf-8")) != wanted:
        raise RecipeError(f"{folder} holds a run of another recipe; name another --out, or delete that folder")
    return True


def run_cell(cell: Cell, table: dict[str, Any], out: Path) -> None:
    """Train one variant and measure it on the test fold; writes ``result.json`` when all is done."""
    from rtatl_core.datasets.loader import Source
    from rtatl_core.evaluation.agreement import coded_agreement
    from rtatl_core.training.initial import load_checkpoint
    from rtatl_core.training.trainer import Trainer

    recipe = build_recipe(override(table, cell.settings))
    if not recipe.data.protocol:
        raise RecipeError("an ablation needs a test fold; set data.protocol and data.fold")
    folder = out / cell.folder
    trainer = Trainer(recipe, folder, quiet=True)
    if (folder / "last.pt").is_file():
        trainer.resume()
    trainer.run()
    trainer.network.load_state_dict(load_checkpoint(folder / "best.pt")["network"])
    data = trainer.data
    assert data.labelled is not None
    store = data.labelled.store
    rows = np.flatnonzero(np.isin(store.subjects, sorted(data.test)) & store.labelled)
    if not len(rows):
        raise RecipeError(f"nobody in the test fold of {store.folder} is coded; choose another data.fold")
    result = {
        "variant": cell.variant,
        "share": cell.share,
        "seed": cell.seed,
        "coded_faces": len(data.labelled.rows),
        "uncoded_faces": sum(len(source.rows) for source in trainer.plan.unlabelled),
        "test_faces": len(rows),
        "steps": recipe.optim.epochs * trainer.plan.steps,
        **coded_agreement(trainer.network, Source(store, rows, labels=True)),
    }
    replace_file(folder / "result.json", json.dumps(result, indent=1) + "\n")
    (folder / "last.pt").unlink(missing_ok=True)


def render(results: list[dict[str, Any]]) -> str:
    """Markdown: for each measure a table of mean and standard deviation over seeds, and of the mean paired difference
    to the first variant with its standard error. One seed has neither."""
    variants = list(dict.fromkeys(r["variant"] for r in results))
    first, *others = variants
    shares = sorted({r["share"] for r in results})
    at = {(r["variant"], r["share"], r["seed"]): r for r in results}
    seeds = sorted({r["seed"] for r in results})
    head = [f"{share:.0%} ({at[first, share, seeds[0]]['coded_faces']} faces)" for share in shares]
    parts: list[str] = []
    for measure, title in MEASURES.items():
        if not all(measure in r for r in results):
            continue
        told = {cell: np.array([at[*cell, seed][measure] for seed in seeds]) for cell in product(variants, shares)}
        values = [[v, *(_mean_and_spread(told[v, s]) for s in shares)] for v in variants]
        differences = [[v, *(_mean_difference(told[v, s] - told[first, s]) for s in shares)] for v in others]
        parts += [
            f"### {title}, mean over AUs",
            markdown.table(["variant", *head], values),
            markdown.table([f"difference to {first}, same seed", *head], differences),
        ]
    return "\n\n".join(parts) + "\n"


def _mean_and_spread(values: Float64) -> str:
    return f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")


def _mean_difference(values: Float64) -> str:
    """With its standard error."""
    return f"{values.mean():+.3f}" + (f" ± {values.std(ddof=1) / len(values) ** 0.5:.3f}" if len(values) > 1 else "")
