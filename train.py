"""Train a deblurring GAN:  python train.py experiment=paper trainer=cpu"""

import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from deblur import distributed
from deblur.config import command_line, errors, overrides, scalars
from deblur.jobs import entry_point, resume, sweep
from deblur.media.pillow_settings import read_any_picture

log = logging.getLogger("train")


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
@sweep.recorded
def main(cfg: DictConfig, begin: Callable[[], None]) -> float | None:
    """Check the config, call `begin` and train; return the best validation PSNR, for sweepers."""
    import lightning as L
    from hydra.utils import instantiate

    from deblur import hardware
    from deblur.config import data_recipe, settings
    from deblur.inference.race import race_training
    from deblur.networks.layers import table2
    from deblur.training import callbacks, loggers, tensorboard
    from deblur.training.precision import KeepPrecision

    entry_point.reset_loggers()
    folder = Path(cfg.run_dir)
    with errors.one_line_errors():
        command_line.expand_home(cfg)
        scalars.check_scalars(cfg, scalars.TrainScalars)
        scalars.check_experiment(cfg)
        scalars.check_choices(cfg)
        settings.check_groups(cfg, "blur", "data", "model", "trainer")
        start = resume.find(cfg.ckpt, folder)
        device = hardware.pick_device(cfg.trainer.accelerator)
        with errors.one_line_errors(fault="data"):
            data = instantiate(cfg.data, _convert_="all")
            data.setup("fit")
        L.seed_everything(cfg.seed, verbose=False)  # for the initial weights
        model = instantiate(cfg.model, _convert_="all")
        if start.path is not None:
            resume.check_fit(start.path, model.state_dict())
        elif cfg.init is not None:
            _fill(model.generator, cfg.init)
        if ended := resume.check_left(start, cfg.trainer.max_epochs, folder, cfg.minutes):
            return ended.score
        precision = cfg.trainer.precision or start.precision
        if precision is None and distributed.is_first():
            precision = race_training(model.generator, device, data.crop)
        precision = str(precision or "32-true")  # other processes adopt the first one's choice
        if hasattr(model.generator, "weights_used"):
            log.info("initial weights of the backbone: %s", model.generator.weights_used)
        trainer = instantiate(cfg.trainer, precision=precision, _convert_="all")
        distributed.check(trainer.num_devices, trainer.num_nodes, cfg.trainer.get("strategy"))
        data.check_ranks(trainer.world_size)
        config = OmegaConf.to_yaml(cfg, resolve=True)
        generator = OmegaConf.to_container(cfg.model.generator, resolve=True)
        provenance = callbacks.Provenance(generator, data_recipe.note_data(cfg), cfg.run_dir)
    begin()
    parts = {"generator": model.generator, "discriminator": model.discriminator}
    networks = {name: part for name, part in parts.items() if part is not None}
    distributed.tell_batch_norm(trainer.world_size, networks.values(), data.batch_size)
    table = table2(networks, (3, data.crop, data.crop))
    log.info("Table 2, at %d pixels\n%s", data.crop, table)
    about = tensorboard.Description(config, table, scalars.hyperparameters(cfg))
    trainer.callbacks += [provenance, about, KeepPrecision(precision)]
    if start.inside:
        loggers.rewind(folder, start.step)
    _fit(trainer, model, data, start.path)
    score = getattr(trainer.checkpoint_callback, "best_model_score", None)
    return None if score is None else float(score)


def _fill(generator: Any, init: Any) -> None:
    """Fill a generator with a model's weights, or each of its parts with those of another."""
    from deblur import checkpoints
    from deblur.checkpoints.shipped import find_model

    if OmegaConf.is_dict(init):
        sources = {str(part): find_model(name) for part, name in init.items()}
        checkpoints.fill_parts(generator, sources)
    else:
        checkpoints.fill(generator, find_model(init))


def _fit(trainer: Any, model: Any, data: Any, ckpt: Path | None) -> None:
    """Train; exit if a signal ends it, and raise Mistake with one line for explained errors."""
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    try:
        trainer.fit(model, data, ckpt_path=ckpt, weights_only=True)
    except SIGTERMException:
        sys.exit(128 + signal.SIGTERM)
    except SystemExit:  # Lightning's own, after Ctrl-C
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        told = str(error) if isinstance(error, FloatingPointError) else data.explain(error)
        if told := told or distributed.explain(error):
            raise errors.Mistake(told) from error
        raise
    finally:
        trainer.fit_loop.teardown()  # else loading processes stay alive after a validation's error


if __name__ == "__main__":
    given = distributed.prepare(command_line.read(sys.argv[1:]))
    sys.argv[1:] = overrides.quote_paths(resume.recall(given))
    with read_any_picture():
        entry_point.launch(main)
