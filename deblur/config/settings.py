"""Checks the values of a run's config before data or weights are read.

A config may come from an untrusted file. Each `_target_` must therefore name a class, or a function
with a return type, that matches the type required at its place; os.system matches none.
"""

import math
import pkgutil
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from deblur.config.moved_targets import rename_moved
from deblur.config.typecheck import SettingError, find_fault
from deblur.hardware import pick_device
from deblur.pair import Pair

GROUPS = {
    "blur": "deblur.blur.camera.Camera",
    "data": "deblur.data.datamodule.DeblurData",
    "model": "deblur.training.gan.DeblurGAN",
    "trainer": "lightning.Trainer",
}
"""The class that each group describes."""
ENDLESS = math.inf
RANGES: Mapping[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),
    "histograms": (0, ENDLESS),
    "tlc": (1, ENDLESS),
    "stages": (1, ENDLESS),
    "sheets": (0, ENDLESS),
    "limit": (1, ENDLESS),
    "trainer.max_epochs": (1, ENDLESS),
    "trainer.limit_train_batches": (1e-6, ENDLESS),
    "trainer.check_val_every_n_epoch": (1, ENDLESS),
    "trainer.log_every_n_steps": (1, ENDLESS),
    "trainer.num_sanity_val_steps": (-1, ENDLESS),
    "trainer.overfit_batches": (0, 0),  # it would replace the sampler, which sets the epoch
    "trainer.accumulate_grad_batches": (1, 1),  # optimization is manual,
    "trainer.gradient_clip_val": (0, 0),  # and model.clip_norm limits the gradient
}
"""Ranges of values that no constructor checks."""
INSTEAD: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "trainer.max_steps": (
        (None, -1),
        "Lightning counts the steps of each network. trainer.max_epochs=1 "
        "trainer.limit_train_batches={value} trains that many batches, and validates",
    ),
    "trainer.min_steps": ((None,), "trainer.min_epochs counts epochs"),
    "trainer.fast_dev_run": (
        (None, False, 0),
        "trainer.max_epochs=1 trainer.limit_train_batches=1 is as quick, and writes its files",
    ),
    "trainer.enable_checkpointing": ((None, True), "all runs are saved, so that they can resume"),
    "trainer.barebones": ((None, False), "all runs are logged and saved"),
    "trainer.sync_batchnorm": (
        (None, False),
        "it would replace the norms of networks by others. Each device normalizes its own images, "
        "and running statistics are averaged",
    ),
    "trainer.use_distributed_sampler": ((False,), "deblur.data shares the samples itself"),
}
"""Lightning's settings that do not work here: the values that do, and what to type instead."""
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "32", "16", "bf16", 32, 16)
"""Lightning's precisions that keep images in float32."""
LIGHT: Mapping[str, Mapping[str, Any]] = {
    "deblur.networks.FPN": {"weights": None},
    "deblur.losses.content.Perceptual": {"weights": "random"},
}
"""Settings with which a class reads no files."""


def check_groups(cfg: DictConfig, *names: str) -> None:
    """Check all values of the named groups: types, ranges, and contradictions.

    Old names of classes that have moved are replaced first. Ranges are checked by the constructors:
    everything is built once, with networks that use no memory and without reading files. Raises
    SettingError, or the error of a constructor.
    """
    for name in names:
        rename_moved(cfg[name])
        group = cfg[name]
        if OmegaConf.is_config(group):
            group = OmegaConf.to_container(group, resolve=True)
        check_value(name, group, pkgutil.resolve_name(GROUPS[name]))
    for key in RANGES:
        if key.partition(".")[0] in names:
            check_range(key, OmegaConf.select(cfg, key))
    if "trainer" in names:
        _check_hardware(cfg.trainer)
        _check_instead(cfg)
    copy = deepcopy(cfg)
    OmegaConf.set_struct(copy, False)
    for name in names:
        _lighten(copy[name])
        _rehearse(name, copy)


def check_value(key: str, value: Any, hint: Any) -> None:
    """Check one value against a type hint and its range."""
    if fault := find_fault(key, value, hint):
        raise SettingError(*fault)
    check_range(key, value)


def check_range(key: str, value: Any) -> None:
    """Check a number against RANGES, if its key is listed there."""
    low, high = RANGES.get(key, (-ENDLESS, ENDLESS))
    if isinstance(value, int | float) and not low <= value <= high:
        ends = {low: f"{low}", ENDLESS: f"{low} or more"}
        told = f"{key} is {value}, expected {ends.get(high, f'{low} to {high}')}"
        raise SettingError(key, told)


def _check_hardware(trainer: DictConfig) -> None:
    try:
        pick_device(trainer.accelerator)
    except ValueError as error:
        raise SettingError("trainer.accelerator", f"trainer.accelerator: {error}") from error
    if trainer.get("precision") not in (None, *PRECISIONS):
        key, known = "trainer.precision", ", ".join(PRECISIONS[:3])
        raise SettingError(key, f"{key} is {trainer.precision}, expected one of {known}")


def _check_instead(cfg: DictConfig) -> None:
    for key, (allowed, instead) in INSTEAD.items():
        value = OmegaConf.select(cfg, key)
        if value not in allowed:
            told = instead.format(value=value)
            line = f"{key} is {value}, expected {allowed[-1]}: {told}"
            raise SettingError(key, line.replace("None", "null"))


def _rehearse(name: str, cfg: DictConfig) -> None:
    """Build a group, so that its classes check their arguments; let a model compute its losses."""
    try:
        _build(name, cfg, "meta")
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, NotImplementedError):
            return  # the meta device lacks some operations
        if name == "trainer" or isinstance(cause, ValueError):
            raise
        # The code may read values, which meta tensors do not have: try again on the CPU.
        with torch.random.fork_rng(devices=[]):
            _build(name, cfg, "cpu")


def _build(name: str, cfg: DictConfig, device: str) -> None:
    with torch.device(device), warnings.catch_warnings(action="ignore"):
        built = instantiate(cfg[name], _convert_="all")
    if name == "model":
        _try_optimizer(built.optimizer, built.lr, built.discriminator_lr)
        try:
            _try_step(built, cfg.data.crop, device)
        except Exception as error:
            if isinstance(error, ValueError) or device == "cpu":
                raise SettingError("model", f"model: {error}") from error
            raise


def _try_optimizer(make: Callable[..., Any], *rates: float) -> None:
    for rate in rates:
        try:
            make([nn.Parameter(torch.zeros(1))], lr=rate)
        except Exception as error:
            raise SettingError("model.optimizer", f"model.optimizer: {error}") from error


def _try_step(model: Any, crop: int, device: str) -> None:
    """Compute the losses of black crops, to check that the model's parts fit together."""
    images = torch.zeros(2, 3, crop, crop, device=device)
    for turn in model.losses.turns(Pair(images, images, ""), model.losses.restore(images)):
        turn.compute()


def _lighten(node: Any) -> None:
    """Replace the settings that make classes read files."""
    if OmegaConf.is_dict(node):
        node.update(LIGHT.get(node.get("_target_"), {}))
    if OmegaConf.is_config(node):
        for key in node if OmegaConf.is_dict(node) else range(len(node)):
            if not OmegaConf.is_interpolation(node, key):
                _lighten(node[key])
