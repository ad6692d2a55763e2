from collections.abc import Callable
from pathlib import Path

import torch
from conftest import TINY


def test_the_time_is_estimated_before_the_first_step_and_changes_nothing(
    trained: Path, tmp_path: Path, start: Callable[..., None]
) -> None:
    others = (
        "[{_target_: deblur.saving.Checkpoints, monitor: val/psnr},"
        "{_target_: deblur.callbacks.MemoryFormat}]"
    )
    start("train", *TINY, f"trainer.callbacks={others}", f"hydra.run.dir={tmp_path}")
    assert "to the end on this machine" not in (tmp_path / "train.log").read_text()
    assert "to the end on this machine" in (trained / "train.log").read_text()
    plain, watched = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (tmp_path, trained)
    )
    assert plain.keys() == watched.keys()
    assert all(torch.equal(plain[name], watched[name]) for name in plain)
