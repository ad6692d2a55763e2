"""Whatever a config says, there is a run of it or one line that names the key."""

import copy
import functools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from conftest import NARROW, ROOT, TINY
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from deblur.mistakes import explain
from deblur.settings import check_groups

GROUPS = ("blur", "data", "model", "trainer")
SHORT = [*TINY, "trainer.max_epochs=1", "trainer.limit_train_batches=1"]
ODD = ["abc", "", "1", None, True, False, [], [1, 2], [2, 1], [1, "a"], {}, {"a": 1}, 0, 1, 2, 7]
ODD += [-1, -3, 10**9, 0.0, 0.3, 1.5, -0.5, 1e-30, 1e30, float("nan"), float("inf"), "???"]
ODD += [{"_target_": "os.system", "command": "true"}, [{"_target_": "subprocess.Popen"}]]
ODD += ["os.system", "deblur.networks.UNet", "deblur.run.launch", "torch.optim.Adam"]


@functools.cache
def composed(*overrides: str) -> DictConfig:
    """Compose a config once, its networks as narrow as they can be."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        plain = compose("train", [*overrides, "run_dir=somewhere", "data.root=somewhere"])
        narrow = [
            f"model.{key}={value}"
            for key, value in NARROW.items()
            if OmegaConf.select(plain.model, key) is not None
        ]
        return compose("train", [*overrides, *narrow, "run_dir=x", "data.root=x", "data.crop=32"])


CONFIGS = [
    ("experiment=quick",),
    ("experiment=paper", "data=mixed", "blur=camera", "model/adversarial=least_squares"),
    ("experiment=kupyn", "data=folder", "model/content=[l1,mse,fft,multiscale]"),
    ("experiment=deblurgan", "model.content.perceptual.weights=random"),
    ("experiment=deblurgan_v2", "model/generator=fpn_mobilenet", "model/content=[mse,vgg16]"),
    ("experiment=nafnet", "data=photos", "blur=objects"),
    ("experiment=unet", "model/optimizer=sgd", "data=rsblur", "blur=shake"),
    ("experiment=deepdeblur", "model/content=psnr", "data=kohler"),
    ("experiment=paper", "data=photos", "model/generator=resnet_kupyn", "model/optimizer=adam"),
]


def list_keys(node: Any, at: str = "") -> Iterator[str]:
    """Give the dotted keys of all values, lists and mappings."""
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            name = f"{at}.{key}" if at else str(key)
            yield name
            yield from list_keys(value, name)


def keys_of(cfg: DictConfig) -> list[str]:
    found = list(list_keys(OmegaConf.to_container(cfg, resolve=False)))
    return [key for key in found if key.partition(".")[0] in GROUPS]


def names(told: str, key: str) -> bool:
    """Say whether a line names a key, or the one in which it lies."""
    *inner, last = [part for part in key.split(".") if not part.isdigit()]
    return last in told or bool(inner) and ".".join(inner) in told


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: " ".join(config))
def test_configs_as_they_are_are_right(config: tuple[str, ...]) -> None:
    before = torch.random.get_rng_state()
    check_groups(composed(*config), *GROUPS)
    assert torch.equal(before, torch.random.get_rng_state())


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(config=st.sampled_from(CONFIGS), place=st.integers(0, 10**6), value=st.sampled_from(ODD))
def test_any_value_anywhere_is_right_or_named(
    config: tuple[str, ...], place: int, value: Any
) -> None:
    cfg = copy.deepcopy(composed(*config))
    OmegaConf.set_struct(cfg, False)
    keys = keys_of(cfg)
    key = keys[place % len(keys)]
    OmegaConf.update(cfg, key, value, merge=False)
    try:
        check_groups(cfg, *GROUPS)
    except Exception as error:
        told = explain(error)
        assert type(error).__module__ != "builtins" or isinstance(error, ValueError), repr(error)
        assert "\n" not in told and names(told, key), (key, value, told)


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(config=st.sampled_from(CONFIGS), place=st.integers(0, 10**6), where=st.integers(0, 20))
def test_a_key_that_nobody_takes_is_named_with_the_one_that_was_meant(
    config: tuple[str, ...], place: int, where: int
) -> None:
    cfg = copy.deepcopy(composed(*config))
    OmegaConf.set_struct(cfg, False)
    keys = [key for key in keys_of(cfg) if OmegaConf.is_dict(OmegaConf.select(cfg, parent(key)))]
    key = keys[place % len(keys)]
    name = key.rpartition(".")[2]
    assume("_target_" in OmegaConf.select(cfg, parent(key)) and not name.startswith("_"))
    assume(len(name) > 3)
    cut = where % len(name)
    typo = f"{parent(key)}.{name[:cut]}{name[cut:][:1]}{name[cut:]}"  # a letter twice
    OmegaConf.update(cfg, typo, 1)
    with pytest.raises(ValueError) as caught:
        check_groups(cfg, *GROUPS)
    assert str(caught.value).startswith(f"{typo} is no setting of ")
    assert str(caught.value).endswith(f"did you mean {key}?")


def parent(key: str) -> str:
    return key.rpartition(".")[0]
