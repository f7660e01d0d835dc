from __future__ import annotations

from pathlib import Path

import pytest

from rtatl_core.errors import RecipeError
from rtatl_core.training.ablation import read_grid
from rtatl_core.training.recipe import build_recipe, load_recipe, override, read_table

ROOT = Path(__file__).resolve().parents[3]


def write(folder: Path, text: str) -> Path:
    path = folder / "r.toml"
    path.write_text('name = "x"\ntrained_on = "y"\n' + text)
    return path


def test_every_recipe_that_ships_is_valid() -> None:
    recipes = sorted((ROOT / "runs").glob("*.toml"))
    assert recipes
    for path in recipes:
        table = read_table(path)
        cells = read_grid(table) if "ablation" in table else []
        table.pop("ablation", None)
        assert build_recipe(table).name
        for cell in cells:
            assert build_recipe(override(table, cell.settings)).data.label_share == cell.share


def test_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, "[optim]\nepochs = 3\n")
    recipe = load_recipe(path, ("optim.epochs=7", "data.labelled=some/folder", "optim.compile=false", "tasks.flow=1"))
    assert (recipe.optim.epochs, recipe.data.labelled, recipe.optim.compile) == (7, ("some/folder",), False)
    assert recipe.tasks.flow == 1.0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[optim]\nepoch = 3\n", "unknown key optim.epoch; did you mean epochs"),
        ("[optim]\nepochs = 'many'\n", "optim.epochs must be int"),
        ("[optim]\nepochs = true\n", "optim.epochs must be int"),
        ("optim = 3\n", "optim is a section"),
        ("[optim]\nepochs = 0\n", r"optim.epochs is 0; write a number from 1 on"),
        ("[optim]\nlabelled_batch = 0\n", r"optim.labelled_batch is 0; write a number from 1 on"),
        ("[tasks]\nflow = -1\n", r"tasks.flow is -1; write a weight from 0"),
        ("[data]\nheld_out = 1.5\n", r"data.held_out is 1.5; write a share between 0 and 1"),
        ("[network]\nbackbone = 'resnet19'\n", r"network.backbone 'resnet19' is unknown; known are resnet18"),
        ("[inpainting]\nmost = 0\n", r"inpainting.most is 0; write 1 or more"),
        ("[data]\naus = [12, 11]\n", r"data.aus names AU11; known are 1, 2, 4"),
        ("[optim\n", "not valid TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        load_recipe(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "standardise = 'imagenet'",
            r"network\.standardise imagenet is not .* face_mesh; set it to chip or leave it out",
        ),
        ("width = 64", r"network\.width 64 is not for the backbone face_mesh; set it to 32 or leave it out"),
    ],
)
def test_what_does_not_go_with_a_backbone_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = write(tmp_path, f"[network]\n{text}\n")
    assert load_recipe(path)
    with pytest.raises(RecipeError, match=sentence):
        load_recipe(path, ("network.backbone=face_mesh",))


def test_missing_file_and_missing_key(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot be read"):
        load_recipe(tmp_path / "none.toml")
    path = tmp_path / "r.toml"
    path.write_text('name = "x"\n')
    with pytest.raises(RecipeError, match="trained_on is missing"):
        load_recipe(path)
    with pytest.raises(RecipeError, match="write key=value"):
        load_recipe(write(tmp_path, ""), ("optim.epochs",))
