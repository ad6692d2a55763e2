from collections.abc import Iterator

import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from deblur.config.error_messages import WORDS, explain, list_options
from deblur.extras import install_command


@pytest.fixture(autouse=True)
def hydra_config() -> Iterator[None]:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield


@pytest.mark.parametrize(
    "override, told",
    [
        ("model.lrr=1", "model.lrr is not a setting, did you mean model.lr?"),
        ("batch_size=4", "batch_size is not a setting, did you mean data.batch_size?"),
        ("batchsize=4", "batchsize is not a setting, did you mean data.batch_size?"),
        ("epochs=3", "epochs is not a setting, did you mean trainer.max_epochs?"),
        ("max_epochs=3", "max_epochs is not a setting, did you mean trainer.max_epochs?"),
        ("trainer.epochs=3", "trainer.epochs is not a setting, did you mean trainer.max_epochs?"),
        (
            "trainer.max_steps=3",
            "trainer.max_steps is not a setting, did you mean trainer.max_epochs?",
        ),
        ("lr=1e-4", "lr is not a setting, did you mean model.lr?"),
        ("trainer.lr=1e-4", "trainer.lr is not a setting, did you mean model.lr?"),
        ("data.size=9", "data.size is not a setting, did you mean data.dataset.size?"),
        ("wdth=4", "wdth is not a setting, did you mean model.generator.width?"),
        ("generator=unet", "generator is not a setting, did you mean model/generator?"),
        ("optimizer=adam", "optimizer is not a setting, did you mean model/optimizer?"),
        ("root=x", "root is not a setting, did you mean data.root?"),
        ("resume=x", "resume is not a setting, did you mean ckpt?"),
        ("sed=1", "sed is not a setting, did you mean seed?"),
        (
            "zzz=1",
            "zzz is not a setting, expected seed, data, blur, ckpt, init, minutes, save_minutes, "
            "histograms, model, trainer or experiment",
        ),
        (
            "model/content=[charbonier,vgg16]",
            "model/content=charbonier does not exist, did you mean charbonnier?",
        ),
        ("modl.lr=1", "modl is not a setting, did you mean model?"),
        ("experimnt=quick", "experimnt is not a setting, did you mean experiment?"),
        ("model/genrator=unet", "model/genrator is not a setting, did you mean model/generator?"),
        ("experiment=quik", "experiment=quik does not exist, did you mean quick?"),
        ("blur=none", "blur=none does not exist, did you mean pinned?"),
        (
            "hydra/launcher=submitit_local2",
            "hydra/launcher=submitit_local2 requires Hydra's plugin: " + install_command("sweep"),
        ),
        (
            "model/optimizer=x",
            "model/optimizer=x does not exist, expected adam, adamw, lars or sgd",
        ),
        (
            "model.weights.tv=1",
            "model.weights.tv is not a setting, expected adversarial, charbonnier or perceptual "
            "(+model.weights.tv=VALUE adds it)",
        ),
        ("model.lr.x=1", "model.lr.x is not a setting, expected none (+model.lr.x=VALUE adds it)"),
        (
            "trainer.val_check_interval=2",
            "trainer.val_check_interval is not in the config: +trainer.val_check_interval=VALUE "
            "adds it",
        ),
        (
            "model.adversarial.levels=2",
            "model.adversarial.levels is not a setting, expected saturating",
        ),
        ("a=b=c", "a=b=c: mismatched input '=' expecting <EOF>"),
        ("model.lr", "model.lr: Error parsing override 'model.lr' missing EQUAL at '<EOF>'"),
        ("~data.nope", "Could not delete from config. 'data.nope' does not exist."),
        (
            "trainer.callbacks.99.x=1",
            "Error merging override trainer.callbacks.99.x=1: trainer.callbacks[99]: list index "
            "out of range",
        ),
    ],
)
def test_what_cannot_be_composed_is_told_in_a_line(override: str, told: str) -> None:
    with pytest.raises(Exception) as caught:
        compose("train", ["experiment=quick", override])
    assert explain(caught.value) == told


def test_other_words_for_settings_lead_to_settings() -> None:
    cfg = compose("train", ["experiment=quick"])
    for meant in set(WORDS.values()) - {"experiment", "hydra.run.dir"}:
        assert OmegaConf.select(cfg, meant.replace("/", "."), default="no") != "no", meant
        assert "/" not in meant or list_options(meant)


def test_what_cannot_be_resolved_is_named() -> None:
    cfg = compose("train", ["experiment=quick", "data.crop=${nope}"])
    with pytest.raises(Exception) as caught:
        OmegaConf.to_container(cfg.data, resolve=True)
    assert explain(caught.value) == "data.crop: Interpolation key 'nope' not found"


def test_what_a_class_refuses_is_told_with_its_key() -> None:
    cfg = compose("train", ["experiment=quick", "model.generator.width=0"])
    with pytest.raises(Exception) as caught:
        instantiate(cfg.model)
    assert explain(caught.value) == "model.generator: width must be 1 to 4096, got 0"


def test_what_a_part_of_a_list_refuses_is_told_with_its_key() -> None:
    cfg = compose("train", ["experiment=quick", "minutes=0", "run_dir=x"])
    with pytest.raises(Exception) as caught:
        instantiate(cfg.trainer)
    assert explain(caught.value) == "trainer.callbacks.0: minutes must be positive, got 0"


def test_lines_become_one() -> None:
    assert explain(ValueError("one,\n  two\n\nthree")) == "one, two three"
    assert explain(ValueError()) == "ValueError"
    try:
        raise ValueError("a.png: not a picture") from OSError("it is broken")
    except ValueError as error:
        assert explain(error) == "a.png: not a picture"
