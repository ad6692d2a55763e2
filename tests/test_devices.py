"""Runs on more than one device."""

import lightning as L
import pytest
from conftest import ROOT, TINY
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate


@pytest.mark.slow
def test_two_devices_count_each_validation_image_once() -> None:
    """Five images on two ranks: a sampler that fills up would score one of them twice."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        images = "data.dataset.held_out={crop: 32, val: 5, test: 1}"
        cfg = compose("train", [*TINY, images])
    found = []
    for devices in (1, 2):
        strategy = "auto" if devices == 1 else "ddp_spawn"
        trainer = L.Trainer(
            accelerator="cpu",
            devices=devices,
            strategy=strategy,
            use_distributed_sampler=cfg.trainer.use_distributed_sampler,
            logger=False,
            enable_progress_bar=False,
        )
        model, data = (instantiate(cfg[part], _convert_="all") for part in ("model", "data"))
        found += trainer.validate(model, datamodule=data, verbose=False)
    assert found[0].keys() == found[1].keys()
    for name in ("val/blur_psnr", "val/blur_ssim", "val/blur_psnr_pooled"):
        assert found[0][name] == pytest.approx(found[1][name], rel=1e-6)
