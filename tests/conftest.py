"""Tiny stand-ins for what takes long: pictures, data sets, runs."""

import logging
import os
import runpy
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose
from omegaconf import OmegaConf
from PIL import Image
from skips import (  # noqa: F401
    pytest_make_collect_report,
    pytest_report_header,
    pytest_runtest_makereport,
)
from torch import nn

ROOT = Path(__file__).parent.parent
TINY = [
    "experiment=quick",
    "minutes=null",
    "trainer=cpu",
    "trainer.precision=32-true",
    "trainer.max_epochs=2",
    "trainer.log_every_n_steps=1",
    "data.batch_size=2",
    "data.crop=32",
    "blur.motion.length=9",
    "data.dataset.size=4",
    "data.dataset.held_out={crop: 32, val: 2, test: 3}",
    "model.generator.width=4",
    "model.generator.blocks=1",
    "model.discriminator.width=4",
    "model.content.perceptual.weights=random",
]
"""Overrides that make train.py take seconds."""
QUICKEST = [
    *(setting for setting in TINY if "perceptual" not in setting),
    "data.dataset.size=6",
    "model/content=[charbonnier,fft]",
    "~model.weights.perceptual",
    "~model.every.perceptual",
    "+model.every.fft=2",
]
"""A GAN without VGG16, whose making takes as long as two epochs of three batches."""


NARROW = {
    "generator.width": 4,
    "generator.coarse_width": 4,
    "generator.blocks": 1,
    "generator.encoder": "[1,1]",
    "generator.decoder": "[1,1]",
    "discriminator.width": 4,
    "content.perceptual.weights": "random",
}
"""What makes a model tiny, as far as it has such settings."""


def smallest(experiment: str) -> list[str]:
    """Give the overrides that choose an experiment and make its networks tiny."""
    cfg = compose("train", [f"experiment={experiment}"])
    keys = [key for key in NARROW if OmegaConf.select(cfg.model, key) is not None]
    return [
        f"experiment={experiment}",
        "init=null",
        *(f"model.{key}={NARROW[key]}" for key in keys),
    ]


def fill(network: nn.Module) -> nn.Module:
    """Give every parameter and statistic a seeded value, so that nothing is at its start."""
    generator = torch.Generator().manual_seed(0)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator)
            value.copy_(noise + 0.5 if "var" in name else noise * 0.4 - 0.2)
    return network.eval()


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Make sums independent of the number of cores."""
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def own_priority() -> Iterator[None]:
    """Check that no test changes the scheduling of all that follow, as SVT-AV1 does for root."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    before = os.sched_getscheduler(0)
    yield
    assert os.sched_getscheduler(0) == before


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what was decoded by tests, and the programs that they start, out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEBLUR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep programs from changing how the process of all tests frees its memory."""
    monkeypatch.setattr("deblur.hardware.keep_memory", lambda: None)


@pytest.fixture
def picture() -> Callable[..., Path]:
    """Give a function that writes a picture of seeded noise and returns its path."""

    def write(path: Path, size: tuple[int, int] = (48, 40), seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def gopro(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    """Write a tiny imitation of GoPro as it is unpacked, with its stray file."""
    root = tmp_path / "GOPRO_Large"
    for split, scenes in {"train": ["GOPR0372_07_00", "GOPR0374_11_00"], "test": ["T1"]}.items():
        for scene in scenes:
            for frame in range(3):
                for kind, seed in (("blur", 1), ("blur_gamma", 2), ("sharp", 3)):
                    file = root / split / scene / kind / f"{frame:06d}.png"
                    picture(file, seed=100 * frame + seed)
            (root / split / scene / "frames 7 offset 0.txt").write_text("stray")
    return root


def run_script(patch: pytest.MonkeyPatch, script: str, *arguments: str) -> None:
    """Run train.py or eval.py in this process, and close the log files that Hydra opened for it."""
    patch.setattr(sys, "argv", [f"{script}.py", *arguments])
    root = logging.getLogger()
    before = [*root.handlers]
    try:
        runpy.run_path(str(ROOT / f"{script}.py"), run_name="__main__")
    finally:
        for handler in {*root.handlers} - {*before}:
            root.removeHandler(handler)
            handler.close()


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a function that runs train.py or eval.py in this process, as from a shell."""

    return partial(run_script, monkeypatch)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a tiny GAN once and give its run folder."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    with pytest.MonkeyPatch.context() as patch:
        torch.set_num_threads(1)
        run_script(patch, "train", *TINY, f"hydra.run.dir={folder}")
    return folder


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the documentation as `make docs` does; broken links and anchors are errors."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder)))
    return folder
