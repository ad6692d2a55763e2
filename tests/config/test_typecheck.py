from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import pytest
from lightning.pytorch.loggers import Logger
from torch import nn
from torch.utils.data import Dataset

from deblur.blur import Motion
from deblur.config.typecheck import find_fault, find_typo, suggest


class Judge(Protocol):
    def judge(self, image: Any) -> float: ...


RIGHT: list[tuple[Any, Any]] = [
    (1, int),
    (1, float),
    (0.5, float),
    (True, bool),
    ("a", str),
    (None, None),
    (None, int | None),
    ("a", Literal["a", "b"]),
    ([1, 2], tuple[int, int]),
    ([1, 2, 3], Sequence[float]),
    ([1, 2, 3], tuple[int, ...]),
    (3, float | Sequence[float]),
    ({"a": 1}, Mapping[str, int]),
    ({"a": [None]}, dict[str, list[int | None]]),
    ({}, Mapping[str, int]),
    ({"a": [1, "b", None, {"c": 0.5}]}, Any),
    ("anything", "a name that is not there"),
    ({"_target_": "torch.nn.L1Loss"}, nn.Module),
    ({"a": {"_target_": "torch.nn.L1Loss"}}, Mapping[str, nn.Module]),
    ([{"_target_": "torch.nn.L1Loss"}], list[nn.Module] | nn.Module | None),
    (
        {"_target_": "deblur.blur.trajectory.TrajectoryBlur", "length": [1, 2], "anxiety": 0},
        Motion,
    ),
    (
        {"_target_": "deblur.data.folder.PairedFolder", "_partial_": True},
        Callable[..., Dataset[Any]],
    ),
    (
        {"_target_": "deblur.data.snapshots.open_folder", "_partial_": True, "whole": True},
        Callable[..., Dataset[Any]],
    ),
]
WRONG: list[tuple[Any, Any, str]] = [
    ("abc", int, "key is 'abc', expected int"),
    (1.0, int, "key is 1.0, expected int"),
    (True, int, "key is True, expected int"),
    (1, bool, "key is 1, expected bool"),
    (5, str, "key is 5, expected str"),
    (None, int, "key is null, expected int"),
    ("1", float, "key is '1', expected a number"),
    (float("nan"), float, "key is nan, expected a number"),
    (float("inf"), float | None, "key is inf, expected a number or null"),
    ("c", Literal["a", "b"] | None, "key is 'c', expected a or b or null"),
    (True, Literal[1, 2], "key is True, expected 1 or 2"),
    ("???", int, "key is missing, expected int"),
    ([1], tuple[int, int], "key is [1], expected a list of 2, each int"),
    ([1, "2"], tuple[int, int], "key.1 is '2', expected int"),
    ("ab", Sequence[float], "key is 'ab', expected a list of a number"),
    ([1, "x"], float | Sequence[float], "key.1 is 'x', expected a number"),
    ("x", float | Sequence[float], "key is 'x', expected a number or a list of a number"),
    ({"a": "x"}, dict[str, int], "key.a is 'x', expected int"),
    ([1], Mapping[str, int], "key is [1], expected a mapping to int"),
    ({"a": 1}, int, "key is {'a': 1}, expected int"),
    ("resnet", nn.Module, "key is 'resnet', expected Module"),
    ("shake", Motion, "key is 'shake', expected Motion"),
    (
        {"_target_": "nothing.there"},
        nn.Module,
        "key._target_ is nothing.there, expected a class th",
    ),
    ({"_target_": "deblur.nothing"}, nn.Module, "key._target_ is deblur.nothing, expected a class"),
    ({"_target_": None}, nn.Module, "key._target_ is None, expected a class that can be imported"),
    ({"_target_": "builtins.dict"}, nn.Module, "key._target_ is builtins.dict, expected a class"),
    (
        {"_target_": "torch.nn.L1Loss", "_partial_": True},
        nn.Module,
        "key._target_ is torch.nn.L1Loss with _partial_: true, expected Module",
    ),
    (
        {"_target_": "deblur.data.folder.PairedFolder"},
        Callable[..., Dataset[Any]],
        "expected a class with _partial_: true that gives Dataset",
    ),
    (
        {"_target_": "torch.optim.Adam", "_partial_": True},
        Callable[..., Dataset[Any]],
        "key._target_ is torch.optim.Adam with _partial_: true, expected",
    ),
    ({"_target_": "deblur.networks.ResNet", "width": "x"}, nn.Module, "key.width is 'x', expected"),
    (
        {"_target_": "deblur.networks.ResNet", "widht": 4},
        nn.Module,
        "key.widht is no setting of ResNet, did you mean key.width?",
    ),
    (
        {"_target_": "torch.nn.L1Loss", "zzz": 4},
        nn.Module,
        "key.zzz is no setting of L1Loss, expected size_average, reduce or reduction",
    ),
    ({"_target_": "torch.nn.L1Loss", "_args_": [1]}, nn.Module, "key._args_ is no setting of L1"),
    (
        {"_target_": "deblur.blur.trajectory.TrajectoryBlur", "length": 1},
        Motion,
        "key.anxiety is missing, expected a number or a list of a number",
    ),
    (
        {"_target_": "deblur.data.snapshots.open_folder", "_partial_": True, "limit": "x"},
        Callable[..., Dataset[Any]],
        "key.limit is 'x', expected int or null",
    ),
    (
        {"_target_": "lightning.pytorch.loggers.TensorBoardLogger", "save_dri": "x"},
        Logger,
        "key.save_dri is no setting of TensorBoardLogger, did you mean key.save_dir?",
    ),
]


@pytest.mark.parametrize("value, hint", RIGHT)
def test_what_fits_passes(value: Any, hint: Any) -> None:
    assert find_fault("key", value, hint) is None


@pytest.mark.parametrize("value, hint, told", WRONG)
def test_what_does_not_is_told_in_a_line(value: Any, hint: Any, told: str) -> None:
    fault = find_fault("key", value, hint)
    assert fault and told in fault.told and "\n" not in fault.told
    assert fault.told.startswith(f"{fault.key} ")


@pytest.mark.parametrize(
    "target",
    [
        *("os.system", "subprocess.Popen", "builtins.eval", "shutil.rmtree", "torch.load"),
        *("torch.hub.load", "functools.partial", "deblur.data.download.fetch", "pathlib.Path"),
    ],
)
@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(
    "hint",
    [
        *(nn.Module, int, str | None, Any, object, Judge, Motion, list[nn.Module], "unknown"),
        *(Sequence, Iterable[Any], tuple[nn.Module, ...], tuple[Any], dict[str, object]),
        *(Callable[..., Any], Callable[..., nn.Module], Callable, Mapping[str, Any]),
    ],
)
def test_no_place_takes_what_does_harm(target: str, partial: bool, hint: Any) -> None:
    node = {"_target_": target, "_partial_": partial, "command": "true"}
    for value in (node, [node], {"a": node}):
        assert find_fault("key", value, hint)


def test_names_that_are_meant_are_found() -> None:
    assert suggest("data.crpo", ["crop", "root"]) == "did you mean data.crop?"
    assert suggest("model/genrator", ["generator"]) == "did you mean model/generator?"
    assert suggest("x", ["crop", "root", "_target_"]) == "expected crop or root"
    assert find_typo("sed", ["seed"]) == "seed" and not find_typo("width", ["seed"])
