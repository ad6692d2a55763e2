"""Every experiment is run, as tiny as it gets."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, smallest
from hydra import initialize_config_dir

EXPERIMENTS = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_trains_two_steps(
    experiment: str, precision: str, tmp_path: Path, start: Callable[..., None]
) -> None:
    photos = ["data=photos", "blur=pinned", "data.crop=64", "data.batch_size=2"]
    photos += ["data.dataset.size=4", "data.dataset.held_out={crop: 64, val: 2, test: 2}"]
    run = ["trainer=cpu", f"trainer.precision={precision}", "trainer.max_epochs=1"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        tiny = smallest(experiment)
    start("train", *tiny, *photos, *run, f"hydra.run.dir={tmp_path}")
    assert "measure it" in (tmp_path / "train.log").read_text()
