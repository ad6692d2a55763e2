from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir

from deblur.config.data_recipe import note_data, recall_data
from deblur.config.settings import check_groups


@pytest.fixture(autouse=True)
def conf() -> Iterator[None]:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield


def run(patch: pytest.MonkeyPatch, *overrides: str) -> Any:
    """Compose a config as a script does, and let it be Hydra's current one."""
    cfg = compose("train", [*overrides], return_hydra_config=True)
    patch.setattr("deblur.config.data_recipe.HydraConfig", SimpleNamespace(get=lambda: cfg.hydra))
    return cfg


def test_settings_that_a_run_has_added_are_recalled(monkeypatch: pytest.MonkeyPatch) -> None:
    added = ["+blur.shares={jpeg: 0.5}", "+data.dataset.roots.Mine-2=x", "data.crop=64"]
    cfg = run(monkeypatch, "data=mixed", "blur=pinned", *added)
    recipe = note_data(cfg)
    assert recipe == {
        "data": "mixed",
        "blur": "pinned",
        "scalars": {"blur.shares.jpeg": 0.5, "data.dataset.roots.Mine-2": "x", "data.crop": 64},
    }
    name, again = recall_data(run(monkeypatch), [recipe])
    assert name == "mixed" and (again.data, again.blur) == (cfg.data, cfg.blur)
    check_groups(again, "blur")


@pytest.mark.parametrize(
    "key", ["data._target_", "blur.motion._target_", "data.dataset._partial_", "data.-x", "data.é"]
)
def test_a_recipe_names_no_code(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = {"data": "photos", "blur": "pinned", "scalars": {key: "os.system"}}
    with pytest.raises(ValueError, match=f"sets '{key}'"):
        recall_data(run(monkeypatch), [recipe])
