"""Whatever a config says, there is a run of it or one line that names the key."""

import copy
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import NARROW, ROOT, TINY
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from torch import nn

from deblur.config import settings as settings_module
from deblur.config.error_messages import explain
from deblur.config.settings import check_groups, check_value
from deblur.config.typecheck import SettingError

GROUPS = ("blur", "data", "model", "trainer")
SHORT = [*TINY, "trainer.max_epochs=1", "trainer.limit_train_batches=1"]
ODD = ["abc", "", "1", None, True, False, [], [1, 2], [2, 1], [1, "a"], {}, {"a": 1}, 0, 1, 2, 7]
ODD += [-1, -3, 10**9, 0.0, 0.3, 1.5, -0.5, 1e-30, 1e30, float("nan"), float("inf"), "???"]
ODD += [{"_target_": "os.system", "command": "true"}, [{"_target_": "subprocess.Popen"}]]
ODD += ["os.system", "deblur.networks.UNet", "deblur.jobs.entry_point.launch", "torch.optim.Adam"]


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


def changed(cfg: DictConfig, values: dict[str, Any]) -> DictConfig:
    """Give a copy of a config in which some values are others."""
    cfg = copy.deepcopy(cfg)
    OmegaConf.set_struct(cfg, False)
    for key, value in values.items():
        OmegaConf.update(cfg, key, value, merge=False)
    return cfg


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
    group = key.partition(".")[0]
    return (
        last in told
        or f"{group} is not a setting" in told
        or bool(inner)
        and ".".join(inner) in told
    )


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: " ".join(config))
def test_configs_as_they_are_are_right(config: tuple[str, ...]) -> None:
    before = torch.random.get_rng_state()
    check_groups(composed(*config), *GROUPS)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    "key, value, told",
    [
        ("data.batch_size", "abc", "data.batch_size is 'abc', expected int"),
        ("data.crop", 40, "model.discriminator: crop must be a multiple of 16, got 40 (data.crop;"),
        (
            "model.discriminator.crop",
            16,
            "model: crop is 16: built for 16x16 images, got (2, 3, 32",
        ),
        ("data.workers", -1, "data: seed and workers must not be negative, got 0 and -1"),
        ("data.download", True, "data: dataset: got an unexpected keyword argument 'download'"),
        ("data._target_", "os.system", "data._target_ is os.system, expected DeblurData"),
        ("blur.motion.length", [9, 1], "blur.motion: length must be a number or [low, high], from"),
        ("model.lr", float("nan"), "model.lr is nan, expected a number"),
        ("model.weights", {}, "model: weights are for [], expected ['adversarial', 'charbonnier'"),
        ("model.optimizer.momentum", 1, "model.optimizer: lr and floor must be positive and mom"),
        ("model.generator.width", 10**6, "model.generator: width must be 1 to 4096, got 1000000"),
        ("model.generator", "unet", "model.generator is 'unet', expected Module"),
        ("model.content.perceptual.layer", "x", "model.content.perceptual: no layer x of vgg16"),
        ("model.adversarial", None, "model: adversarial and discriminator must both"),
        ("trainer.accelerator", "abacus", "trainer.accelerator: device=abacus, expected auto or"),
        ("trainer.precision", "64-true", "trainer.precision is 64-true, expected one of 32-true,"),
        ("trainer.max_epochs", -1, "trainer.max_epochs is -1, expected 1 or more"),
        ("trainer.log_every_n_steps", 0, "trainer.log_every_n_steps is 0, expected 1 or more"),
        ("trainer.limit_train_batches", 0, "trainer.limit_train_batches is 0, expected 1e-06 or m"),
        ("trainer.limit_val_batches", 1.5, "trainer: You have passed invalid value 1.5 for limit"),
        (
            "trainer.max_steps",
            10,
            "trainer.max_steps is 10, expected -1: Lightning counts ",
        ),
        ("trainer.min_steps", 10, "trainer.min_steps is 10, expected null: trainer.min_epochs c"),
        ("trainer.fast_dev_run", True, "trainer.fast_dev_run is True, expected 0: "),
        ("trainer.enable_checkpointing", False, "trainer.enable_checkpointing is False, expected"),
        ("trainer.barebones", True, "trainer.barebones is True, expected False: all runs are log"),
        ("trainer.sync_batchnorm", True, "trainer.sync_batchnorm is True, expected False: it wou"),
        ("trainer.use_distributed_sampler", True, "trainer.use_distributed_sampler is True, exp"),
        ("trainer.gradient_clip_val", 1.0, "trainer.gradient_clip_val is 1.0, expected 0"),
        ("trainer.overfit_batches", 3, "trainer.overfit_batches is 3, expected 0"),
        ("trainer.devices", -3, "trainer: `devices` selected with `CPUAccelerator` should be an"),
        ("trainer.strategy", "dpp", "trainer: You selected an invalid strategy name: `strategy='"),
        ("trainer.callbacks", [5], "trainer.callbacks.0 is 5, expected Callback"),
    ],
)
def test_mistakes_are_told_by_their_keys(key: str, value: Any, told: str) -> None:
    cfg = changed(composed("experiment=quick", "trainer=cpu"), {key: value})
    with pytest.raises(Exception) as caught:
        check_groups(cfg, *GROUPS)
    assert explain(caught.value).startswith(told)


def test_parts_that_do_not_go_together_are_told() -> None:
    parts = ["model/discriminator=double", "model/adversarial=relativistic_ls"]
    with pytest.raises(ValueError, match="maps=1"):
        check_groups(composed("experiment=paper", *parts), *GROUPS)
    check_groups(composed("experiment=paper", parts[0], f"{parts[1]}_double"), *GROUPS)


HALF = {"_target_": "torch.nn.AvgPool2d", "kernel_size": 2}


class Reader(nn.Module):
    """Reads a value of what it is given, which a tensor without memory has not."""

    def __init__(self, *, side: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.side = side

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        assert image.sum().item() == 0
        return image[..., : self.side, :] * self.weight


@pytest.mark.parametrize(
    "values",
    [
        {"model.generator": HALF},
        {"model.generator": {"_target_": f"{__name__}.Reader", "side": 31}},
        {"model.content.charbonnier": HALF},
        {
            "model.discriminator": {
                "_target_": "torch.nn.Conv2d",
                "in_channels": 4,
                "out_channels": 1,
                "kernel_size": 3,
            }
        },
    ],
)
def test_shapes_that_do_not_fit_are_told(values: dict[str, Any]) -> None:
    """They are RuntimeErrors of torch and others."""
    with pytest.raises(ValueError, match="^model: "):
        check_groups(changed(composed("experiment=quick"), values), *GROUPS)


def test_what_only_a_device_without_memory_cannot_compute_is_right() -> None:
    reader = {"_target_": f"{__name__}.Reader", "side": 32}
    before = torch.random.get_rng_state()
    check_groups(changed(composed("experiment=quick"), {"model.generator": reader}), *GROUPS)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    "objective", ["minimax", "least_squares", "relativistic_ls", "wasserstein_gp"]
)
def test_all_objectives_are_checked_without_memory(
    objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, devices = settings_module._build, []

    def noted(name: str, cfg: DictConfig, device: str) -> None:
        devices.append(device)
        build(name, cfg, device)

    monkeypatch.setattr(settings_module, "_build", noted)
    check_groups(composed("experiment=quick", f"model/adversarial={objective}"), "model")
    assert devices == ["meta"]


def test_nothing_is_read_or_fetched_for_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("deblur.losses.content.safe_open", "torch.hub.load_state_dict_from_url"):
        monkeypatch.setattr(place, lambda *_, **__: pytest.fail("something was read"))
    weights = {"model.generator.weights": "torchvision"}
    weights |= {"model.content.perceptual.weights": "mine.safetensors"}
    cfg = changed(composed("experiment=deblurgan_v2", "model/generator=fpn_mobilenet"), weights)
    check_groups(cfg, *GROUPS)
    assert cfg.model.generator.weights == "torchvision"


def list_mappings(node: Any, at: str = "") -> Iterator[str]:
    """Give the dotted keys of all mappings."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if isinstance(value, dict):
            yield f"{at}{key}"
            yield from list_mappings(value, f"{at}{key}.")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: " ".join(config))
def test_a_key_that_nobody_reads_is_refused(config: tuple[str, ...]) -> None:
    cfg = composed(*config)
    for place in list_mappings(OmegaConf.to_container(cfg)):
        key = f"{place}.nobodys"
        with pytest.raises(Exception) as caught:
            check_groups(changed(cfg, {key: 1}), *GROUPS)
            data = instantiate(changed(cfg, {key: 1}).data, _convert_="all")
            data.setup("fit")
        assert "nobodys" in explain(caught.value), key


def test_one_value_is_checked_with_its_range() -> None:
    check_value("limit", None, int | None)
    with pytest.raises(SettingError) as caught:
        check_value("limit", 0, int | None)
    assert caught.value.key == "limit"


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(config=st.sampled_from(CONFIGS), place=st.integers(0, 10**6), value=st.sampled_from(ODD))
def test_any_value_anywhere_is_right_or_named(
    config: tuple[str, ...], place: int, value: Any
) -> None:
    cfg = composed(*config)
    keys = keys_of(cfg)
    key = keys[place % len(keys)]
    try:
        check_groups(changed(cfg, {key: value}), *GROUPS)
    except Exception as error:
        told = explain(error)
        assert type(error).__module__ != "builtins" or isinstance(error, ValueError), repr(error)
        assert "\n" not in told and names(told, key), (key, value, told)


@settings(max_examples=40, derandomize=True, deadline=None, database=None)
@given(config=st.sampled_from(CONFIGS), place=st.integers(0, 10**6), where=st.integers(0, 20))
def test_a_key_that_nobody_takes_is_named_with_the_one_that_was_meant(
    config: tuple[str, ...], place: int, where: int
) -> None:
    cfg = composed(*config)
    keys = [key for key in keys_of(cfg) if OmegaConf.is_dict(OmegaConf.select(cfg, parent(key)))]
    key = keys[place % len(keys)]
    name = key.rpartition(".")[2]
    assume("_target_" in OmegaConf.select(cfg, parent(key)) and not name.startswith("_"))
    assume(len(name) > 3)
    cut = where % len(name)
    typo = f"{parent(key)}.{name[:cut]}{name[cut:][:1]}{name[cut:]}"  # a letter twice
    with pytest.raises(ValueError) as caught:
        check_groups(changed(cfg, {typo: 1}), *GROUPS)
    assert str(caught.value).startswith(f"{typo} is not a setting of ")
    assert str(caught.value).endswith(f"did you mean {key}?")


def parent(key: str) -> str:
    return key.rpartition(".")[0]


TYPED = ["abc", "null", "true", "[1,2]", "{a: 1}", "nan", "-1", "0", "1", "2", "7", "0.3", "???"]
ROOTS = ["seed", "init", "ckpt", "histograms"]


@settings(
    max_examples=24,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    place=st.integers(0, 10**6),
    kind=st.sampled_from(["{}", "{}", "{}", "+{}", "~{}"]),
    value=st.sampled_from(TYPED),
    twice=st.sampled_from([None, None, None, 0, 1]),
)
def test_a_command_line_gives_a_run_or_a_line(
    place: int,
    kind: str,
    value: str,
    twice: int | None,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    start: Callable[..., None],
) -> None:
    keys = ROOTS + keys_of(composed("experiment=quick"))
    key = keys[place % len(keys)]
    assume(key != "trainer.devices" or value not in ("2", "7", "[1,2]"))  # other processes
    if twice is not None:
        key = f"{key[:twice]}{key[twice]}{key[twice:]}"
    folder = tmp_path_factory.mktemp("run")
    monkeypatch.chdir(folder)
    argument = kind.format(key) + f"={value}" * (kind[0] != "~")
    try:
        start("train", *SHORT, argument, f"hydra.run.dir={folder}")
    except SystemExit as stop:
        told = str(stop.code)
        assert told.startswith("error: ") and "\n" not in told, argument
        assert names(told, key) or told.startswith(f"error: {value}"), (argument, told)
    else:
        assert (folder / "generator.safetensors").is_file() or (folder / "checkpoints").is_dir()


@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(place=st.integers(0, 10**6), value=st.sampled_from(TYPED))
def test_an_evaluation_gives_figures_or_a_line(
    place: int,
    value: str,
    tmp_path_factory: pytest.TempPathFactory,
    trained: Path,
    start: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("eval", ["ckpt=null", "run_dir=x"])
    found = list(list_keys(OmegaConf.to_container(cfg, resolve=False)))
    keys = [key for key in found if key.partition(".")[0] not in ("hydra", "run_dir")]
    key = keys[place % len(keys)]
    folder = tmp_path_factory.mktemp("eval")
    monkeypatch.chdir(folder)
    given = [f"ckpt={trained / 'generator.safetensors'}", "limit=1", "unsharp=false"]
    try:
        start("eval", *given, f"{key}={value}", f"hydra.run.dir={folder}")
    except SystemExit as stop:
        told = str(stop.code)
        assert told.startswith("error: ") and "\n" not in told, (key, value)
        assert names(told, key) or told.startswith(f"error: {value}"), (key, value, told)
    else:
        assert (folder / "metrics.json").is_file()
