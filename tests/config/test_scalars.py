import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import QUICKEST, ROOT
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from deblur.config.scalars import EvalScalars, check_scalars, hyperparameters

SCALARS = {
    **{"seed": 0, "run_dir": "x", "ckpt": "x", "device": "auto", "precision": "auto"},
    **{"protocol": ["y"], "published": False, "check": True, "trust": None, "tlc": None},
    "stages": None,
    **{"unsharp": True, "sheets": 4, "limit": None, "data": {"a": ["${of_mine}"]}, "of_mine": 3},
}


@pytest.mark.parametrize(
    "key, value, told",
    [
        ("seed", "abc", "seed is 'abc', expected int"),
        ("seed", -1, "seed is -1, expected 0 to 4294967295"),
        ("seed", 2**32, "seed is 4294967296, expected 0 to"),
        ("limit", 1.5, "limit is 1.5, expected int or null"),
        ("limit", 0, "limit is 0, expected 1 or more"),
        ("unsharp", "no", "unsharp is 'no', expected bool"),
        ("sheets", None, "sheets is null, expected int"),
        ("ckpt", "???", "ckpt is missing, expected str, a list of str or null"),
        ("ckpt", ["a", 5], "ckpt.1 is 5, expected str"),
        ("protcol", "y", "protcol is not a setting, did you mean protocol?"),
        ("batch_size", 4, "batch_size is not a setting, did you mean data.batch_size?"),
        ("a", 4, "a is not a setting, did you mean data.a?"),
        ("nobodys", 4, "nobodys is not a setting, and no other refers to it by ${nobodys}"),
    ],
)
def test_a_scalar_of_the_wrong_type_is_named(key: str, value: Any, told: str) -> None:
    check_scalars(OmegaConf.create(SCALARS), EvalScalars)
    with pytest.raises(ValueError, match=re.escape(told)):
        check_scalars(OmegaConf.create({**SCALARS, key: value}), EvalScalars)


@pytest.mark.parametrize("key", ["hydra.run_dir", "hydra.run.dirr", "hydra.sweeper.max_jobs"])
def test_what_is_added_to_hydras_settings_is_named(
    key: str, tmp_path: Path, start: Callable[..., None]
) -> None:
    """With a plus, Hydra takes any key, and nobody reads it."""
    with pytest.raises(SystemExit, match=f"error: {key} is no"):
        start("train", *QUICKEST, f"+{key}=x", f"hydra.run.dir={tmp_path / 'run'}")


def test_hyperparameters_name_the_groups_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = [
        *("experiment=quick", "trainer=cpu", "data.root=x", "seed=3"),
        *("model/generator=nafnet", "model/content=[charbonnier,fft]", "~model/discriminator"),
        *("blur=shake", "model.clip_norm=null"),
    ]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("train", typed, return_hydra_config=True)
    get = SimpleNamespace(get=lambda: cfg.hydra)
    monkeypatch.setattr("deblur.config.scalars.HydraConfig", get)
    found = hyperparameters(cfg)
    assert found.pop("model.lr") == cfg.model.lr
    assert found == {
        **{"experiment": "quick", "data": "photos", "blur": "shake", "seed": 3},
        **{"model/generator": "nafnet", "model/content": "[charbonnier,fft]"},
        **{"model/discriminator": "None", "model.clip_norm": "None"},
    }
