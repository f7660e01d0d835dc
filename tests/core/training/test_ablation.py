"""The grid runs, goes on after an interruption, and its table says what the runs say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from rtatl_core.cli import main
from rtatl_core.errors import RecipeError
from rtatl_core.training import ablation
from tests.core.stores import write_clips, write_labelled


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    write_labelled(tmp_path / "labelled", count=60, people=12)
    write_clips(tmp_path / "clips")
    path = tmp_path / "ablation.toml"
    path.write_text(
        'name = "grid"\ntrained_on = "made-up faces"\n'
        f'[data]\nlabelled = "{(tmp_path / "labelled").as_posix()}"\nunlabelled = "{(tmp_path / "clips").as_posix()}"\n'
        'protocol = "subjects:3"\nfold = 1\n'
        "[network]\nwidth = 8\ntoken = 16\ngeometry = 0\n"
        "[optim]\nepochs = 1\nsteps = 2\nlabelled_batch = 8\nunlabelled_batch = 4\nworkers = 0\nchoose = 'last'\n"
        "[ablation]\nshares = [0.25, 1.0]\nseeds = [0, 1]\n"
        "[ablation.variants]\nplain = ['tasks.inpainting=0', 'tasks.flow=0']\nboth = []\n"
    )
    return path


def test_grid_runs_and_goes_on(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "grid"
    run_cell, done = ablation.run_cell, []

    def some(cell: ablation.Cell, **rest: object) -> None:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(cell.folder)
        run_cell(cell, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(ablation, "run_cell", some)
    with pytest.raises(KeyboardInterrupt):
        ablation.ablate(recipe, out)
    assert len(list(out.glob("*/result.json"))) == 3
    monkeypatch.setattr(ablation, "run_cell", lambda cell, **rest: done.append(cell.folder) or run_cell(cell, **rest))
    assert main(["ablate", str(recipe), "--out", str(out)]) == 0
    assert len(done) == len(set(done)) == 8
    runs = json.loads((out / "ablation.json").read_text())["runs"]
    one = {(r["variant"], r["share"], r["seed"]): r for r in runs}
    assert one["plain", 0.25, 0]["coded_faces"] < one["plain", 1.0, 0]["coded_faces"]
    assert one["plain", 0.25, 0]["uncoded_faces"] == 0
    assert one["both", 0.25, 0]["uncoded_faces"] > one["both", 1.0, 0]["uncoded_faces"] > 0
    assert len({r["test_faces"] for r in runs}) == 1
    assert one["plain", 1.0, 0]["pcc"] != one["plain", 1.0, 1]["pcc"]
    text = (out / "ablation.md").read_text()
    mean = np.mean([one["both", 1.0, seed]["pcc"] for seed in (0, 1)])
    assert "| both |" in text
    assert f"{mean:.3f} ±" in text
    with pytest.raises(RecipeError, match=r"holds a run of another recipe; name another --out"):
        ablation.ablate(recipe, out, ("optim.learning_rate=0.5",))


def test_table_of_known_numbers() -> None:
    results = [
        {"variant": v, "share": 0.5, "seed": s, "coded_faces": 10, "pcc": p}
        for v, values in {"a": (0.1, 0.3), "b": (0.4, 0.5)}.items()
        for s, p in enumerate(values)
    ]
    text = ablation.render(results)
    assert "| a | 0.200 ± 0.141 |" in text
    assert "| b | 0.450 ± 0.071 |" in text
    assert "| b | +0.250 ± 0.050 |" in text
    assert "50% (10 faces)" in text
    alone = ablation.render([result for result in results if result["seed"] == 0])
    assert "| a | 0.100 |" in alone
    assert "| b | +0.300 |" in alone


def test_mistakes_are_named_before_the_first_run(recipe: Path, tmp_path: Path) -> None:
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(text.replace("both = []", "both = ['tasks.inpaintin=1']"), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"unknown key tasks.inpaintin; did you mean inpainting"):
        ablation.ablate(recipe, tmp_path / "grid")
    assert not (tmp_path / "grid").exists()
    for line in ("seeds = 2", "seeds = []", "seeds = ['a']", "seeds = [0, 0]", "shares = 0.5", "shares = ['x']"):
        key = line.split(" = ")[0]
        recipe.write_text(re.sub(rf"(?m)^{key} = .*$", line, text), encoding="utf-8")
        with pytest.raises(RecipeError, match=r"\[ablation\] is no grid; write shares = "):
            ablation.ablate(recipe, tmp_path / "grid")
    for wrong in ("both = 'tasks.flow=1'", "both = [1]"):
        recipe.write_text(text.replace("both = []", wrong), encoding="utf-8")
        with pytest.raises(RecipeError, match=r"\[ablation\] is no grid"):
            ablation.ablate(recipe, tmp_path / "grid")
    recipe.write_text(text[: text.index("[ablation]")], encoding="utf-8")
    with pytest.raises(RecipeError, match=r"has no \[ablation\]"):
        ablation.ablate(recipe, tmp_path / "grid")
    recipe.write_text(text.replace('protocol = "subjects:3"\nfold = 1\n', ""), encoding="utf-8")
    with pytest.raises(RecipeError, match="needs a test fold"):
        ablation.ablate(recipe, tmp_path / "grid")
