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
        ("epochs = 3\n", r"unknown key epochs; did you mean optim.epochs\?"),
        ("[optim]\ndropout = 0.1\n", r"unknown key optim.dropout; did you mean network.dropout\?"),
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
        ("[data]\naus = [12, 1, 12]\n", r"data.aus names AU12 more than once; write each AU once"),
        ("[data]\nfold = 2\n", r"data.fold is 2, but there is no data.protocol; name one, or leave fold out"),
        ("[optim]\nlearning_rate = -0.001\n", r"optim.learning_rate is -0.001; write a number over 0"),
        ("[optim]\nlearning_rate = nan\n", r"optim.learning_rate is nan; write a number over 0"),
        ("[optim]\nseed = -1\n", r"optim.seed is -1; write a number from 0 to"),
        ("[optim]\nseed = 9223372036854775808\n", r"optim.seed is 9.22337e\+18; write a number from 0 to"),
        ("[optim]\nclip_norm = 0\n", r"optim.clip_norm is 0; write a number over 0, or inf"),
        ("[optim]\nweight_decay = -0.1\n", r"optim.weight_decay is -0.1; write a number from 0 on"),
        ("[optim]\nbackbone_rate = -1\n", r"optim.backbone_rate is -1; write a number from 0 on"),
        ("[optim]\nwarmup_steps = -1\n", r"optim.warmup_steps is -1; write a number from 0 on"),
        ("[optim]\npatience = -1\n", r"optim.patience is -1; write a number from 0 on"),
        ("[optim]\nthreads = -1\n", r"optim.threads is -1; write a number from 0 on"),
        ("[optim]\nworkers = -2\n", r"optim.workers is -2; write a number from 0 on, or -1 for all cores but one"),
        ("[tasks]\nflow = inf\n", r"tasks.flow is inf; write a weight from 0"),
        ("[tasks]\nintensity = 0\noccurrence = 0\ninpainting = 0\nflow = 0\n", r"tasks: all weights are 0, .*over 0"),
        ("[network]\nrelation_heads = 3\n", r"relation_heads is 3, .* divide network.token 64; write .*, e.g. 2"),
        ("[network]\nrelation_heads = 0\n", r"network.relation_heads is 0; write a number from 1 on"),
        ("[network]\nrelation_layers = -1\n", r"network.relation_layers is -1; write a number from 0 on"),
        ("[network]\nwidth = 0\n", r"network.width is 0; write a number from 1 on"),
        ("[network]\ntoken = 0\n", r"network.token is 0; write a number from 1 on"),
        ("[network]\ndropout = 1.0\n", r"network.dropout is 1; write a share from 0 to under 1"),
        ("[network]\ngeometry = -1\n", r"network.geometry is -1; write a number from 0 on"),
        ("[network]\nplaced = -1\n", r"network.placed is -1; write a number from 0 on"),
        ("[network]\nflow_gap_s = 0\n", r"network.flow_gap_s is 0; write a number over 0"),
        ("[network]\nreference = true\ngeometry = 0\n", r"network.reference is true, but network.geometry is 0"),
        ("[card]\ntrust = 'good'\n", r"card.trust is 'good'; write for AUs by number one of good, usable, experi"),
        ("[card.trust]\nAU12 = 'good'\n", r"card.trust is {'AU12': 'good'}; write for AUs by number one of good"),
        ("[card.trust]\n12 = 'fine'\n", r"card.trust is {'12': 'fine'}; write for AUs by number one of good"),
        ("[consistency]\nconfidence = 2.0\n", r"consistency.confidence is 2; write a probability from 0.5 to under 1"),
        ("[flow]\nshare = 0\n", r"flow.share is 0; write a share over 0, up to 1"),
        ("[inpainting]\nshare = 1.5\n", r"inpainting.share is 1.5; write a share from 0 to 1"),
        ("[augment]\nscale = -0.1\n", r"augment.scale is -0.1; write a number from 0 on"),
        ("[augment]\nflip = 2\n", r"augment.flip is 2; write a share from 0 to 1"),
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


def test_a_model_is_called_by_what_a_file_can_be_called(tmp_path: Path) -> None:
    for name in ("", "..", "runs/own", "own\\\\one"):
        with pytest.raises(RecipeError, match="model's files are called so: write a name without"):
            load_recipe(write(tmp_path, ""), (f'name="{name}"',))


def test_heads_need_to_divide_nothing_where_tokens_are_unrelated(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, "[network]\nrelation_heads = 3\nrelation_layers = 0\n"))


def test_missing_file_and_missing_key(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot be read"):
        load_recipe(tmp_path / "none.toml")
    path = tmp_path / "r.toml"
    path.write_text('name = "x"\n')
    with pytest.raises(RecipeError, match="trained_on is missing"):
        load_recipe(path)
    with pytest.raises(RecipeError, match="write key=value"):
        load_recipe(write(tmp_path, ""), ("optim.epochs",))
