from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from conftest import smallest
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from deblur.data.layouts import LAYOUTS

CONF = Path(__file__).parent.parent / "conf"
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").rglob("*.yaml"))
TRAINERS = sorted(path.stem for path in (CONF / "trainer").rglob("*.yaml"))
DATA = sorted(path.stem for path in (CONF / "data").rglob("*.yaml"))
BLUR = sorted(path.stem for path in (CONF / "blur").glob("*.yaml"))
MUST_BE_GIVEN = {"folder": "mine"}


@pytest.fixture(autouse=True)
def hydra_config(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("DEBLUR_DATA", raising=False)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def composed(name: str, *overrides: str) -> DictConfig:
    return compose(name, overrides=["run_dir=somewhere", *overrides])


def leaves(value: Any) -> Iterator[str]:
    """Resolve every interpolation; give every `_target_`."""
    for node in value.values() if isinstance(value, dict) else value:
        if isinstance(node, dict | list):
            yield from leaves(node)
    if isinstance(value, dict) and "_target_" in value:
        yield value["_target_"]


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_with_every_trainer(experiment: str, trainer: str) -> None:
    cfg = composed("train", f"experiment={experiment}", f"trainer={trainer}")
    plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    alone = composed("train", f"experiment={experiment}")
    for group in ("data", "model", "blur"):
        assert cfg[group] == alone[group], "a trainer must not touch science"
    targets = list(leaves(plain))
    assert "lightning.Trainer" in targets and "deblur.training.gan.DeblurGAN" in targets


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_builds(experiment: str, tmp_path: Path) -> None:
    cfg = composed("train", *smallest(experiment), "data.crop=32", f"run_dir={tmp_path}")
    model = instantiate(cfg.model, _convert_="all")
    assert set(model.losses.weights) - {"adversarial"} == set(model.content)
    assert ("adversarial" in model.losses.weights) == (model.discriminator is not None)
    assert model.lr == cfg.model.lr
    assert isinstance(instantiate(cfg.data, _convert_="all"), L.LightningDataModule)
    trainer = instantiate(cfg.trainer, accelerator="cpu", _convert_="all")
    assert trainer.max_epochs == cfg.trainer.max_epochs


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_says_what_it_is_and_how_to_run_it(experiment: str) -> None:
    lines = (CONF / "experiment" / f"{experiment}.yaml").read_text().splitlines()
    assert lines[0] == "# @package _global_"
    header = [line for line in lines[1:6] if line.startswith("#")]
    assert any("python train.py" in line or "make demo" in line for line in header)


@pytest.mark.parametrize("data", DATA)
def test_every_data_set_has_the_same_keys(data: str) -> None:
    root = MUST_BE_GIVEN.get(data)
    cfg = composed("eval", f"data={data}", "ckpt=x", *([f"data.root={root}"] if root else []))
    assert {"root", "batch_size", "crop", "workers"} <= set(cfg.data)
    instantiate(cfg.data, _convert_="all")


@pytest.mark.parametrize("data", DATA)
def test_data_of_no_folder_are_those_of_the_package_or_refused(data: str) -> None:
    node = composed("eval", f"data={data}", "ckpt=x", "data.root=null").data
    if data in ("photos", "mixed", "wide", "synthetic", "noisy", "long"):
        instantiate(node, _convert_="all")
    else:
        with pytest.raises(InstantiationException, match="root"):
            instantiate(node, _convert_="all")


@pytest.mark.parametrize("blur", BLUR)
def test_every_blur_makes_pairs(blur: str) -> None:
    camera = instantiate(composed("eval", f"blur={blur}", "ckpt=x").blur, _convert_="all")
    side = 16 + 2 * camera.margin
    pixels = torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8)
    for image in camera(pixels, [np.random.default_rng(0)]):
        assert image.shape == (1, 3, 16, 16) and image.dtype == torch.uint8


def test_the_demo_keeps_its_blur_and_the_named_layouts_exist() -> None:
    assert composed("train", "experiment=quick").blur.motion.length == 10
    for data in set(DATA) - {"photos", "mixed", "wide", "folder", "synthetic", "noisy", "long"}:
        assert composed("eval", f"data={data}", "ckpt=x").data.dataset.layout in LAYOUTS


def test_choosing_a_loss_chooses_its_weight() -> None:
    cfg = composed("train", "experiment=paper", "model/content=charbonnier")
    assert set(cfg.model.content) == {"charbonnier"}
    assert set(cfg.model.weights) == {"charbonnier", "adversarial"}


def test_the_papers_table_1() -> None:
    paper, kupyn = (composed("train", f"experiment={name}") for name in ("paper", "kupyn"))
    assert (paper.model.lr, paper.trainer.max_epochs, paper.data.batch_size) == (0.005, 40, 16)
    assert (kupyn.model.lr, kupyn.trainer.max_epochs, kupyn.data.batch_size) == (1e-4, 300, 1)
    assert kupyn.model.schedule.decay_epochs == 150
    assert paper.data.crop == kupyn.data.crop == 256
    for part in ("generator", "discriminator", "adversarial", "content", "weights"):
        assert paper.model[part] == kupyn.model[part]


def test_root_keys_are_all_typed() -> None:
    from deblur.config.scalars import EvalScalars, TrainScalars

    for name, schema in (("train", TrainScalars), ("eval", EvalScalars)):
        groups = {"data", "blur", "model", "trainer"}
        assert set(composed(name, "ckpt=x")) - groups == set(schema.__annotations__)


def flat(node: Any, at: str = "") -> dict[str, Any]:
    """Give a config's values by their dotted names."""
    if not isinstance(node, dict) or not node:
        return {at: node}
    return {k: v for key, value in node.items() for k, v in flat(value, f"{at}.{key}").items()}


@pytest.mark.parametrize("paper", ["deblurgan", "deblurgan_v2"])
def test_the_authors_code_differs_where_its_file_says_so(paper: str) -> None:
    published, code = (
        flat(OmegaConf.to_container(composed("train", f"experiment={name}"), resolve=False))
        for name in (paper, f"{paper}_code")
    )
    differ = {key for key in {*published, *code} if published.get(key) != code.get(key)}
    said = flat(OmegaConf.to_container(OmegaConf.load(CONF / f"experiment/{paper}_code.yaml")))
    chosen = ".model.adversarial." if paper == "deblurgan_v2" else "-"  # by a file of its own
    assert {key for key in differ if not key.startswith(chosen)} <= set(said)
