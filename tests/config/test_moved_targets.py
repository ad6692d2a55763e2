import pytest
from omegaconf import OmegaConf

from deblur.config.moved_targets import rename_moved, rename_override

OLD = {"_target_": "deblur.gan.DeblurGAN", "lr": 1, "decay_epochs": 2, "decay": "cosine"}
NEW = {
    "_target_": "deblur.training.gan.DeblurGAN",
    "lr": 1,
    "schedule": {
        "_target_": "deblur.training.schedule.Schedule",
        "decay_epochs": 2,
        "decay": "cosine",
    },
}


@pytest.mark.parametrize("before, after", [(OLD, NEW), (NEW, NEW), ({"decay": 1}, {"decay": 1})])
def test_configs_of_before_get_new_names(before: object, after: object) -> None:
    config = OmegaConf.create({"model": [before]})
    rename_moved(config)
    assert config == {"model": [after]}


@pytest.mark.parametrize(
    "before, after",
    [
        ("model.decay_to=0.1", "model.schedule.decay_to=0.1"),
        ("~model.decay", "~model.schedule.decay"),
        ("++model.freeze_epochs=1", "++model.schedule.freeze_epochs=1"),
        ("model.schedule.decay=linear", "model.schedule.decay=linear"),
        ("model.lr=0.1", "model.lr=0.1"),
        ("experiment=quick", "experiment=quick"),
    ],
)
def test_arguments_of_before_get_new_keys(before: str, after: str) -> None:
    assert rename_override(before) == after
