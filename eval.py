"""Measure trained generators:  python eval.py ckpt=runs/.../last.ckpt"""

import logging
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from deblur.config import command_line, errors, overrides, scalars
from deblur.jobs import entry_point, run_folder
from deblur.media.pillow_settings import read_any_picture

log = logging.getLogger("eval")


@hydra.main(version_base="1.3", config_path="conf", config_name="eval")
@run_folder.tidied
def main(cfg: DictConfig) -> float | None:
    """Evaluate checkpoints on their data's test split; return the first one's mean PSNR."""
    from hydra.utils import instantiate

    from deblur import checkpoints, hardware
    from deblur.checkpoints.shipped import find_model
    from deblur.config import data_recipe, settings
    from deblur.evaluation import provenance
    from deblur.evaluation.loop import Evaluation, distinguish, rehearse
    from deblur.evaluation.report import Report, discard_pictures
    from deblur.inference import adapt, name_arithmetic
    from deblur.metrics import choose
    from deblur.networks.local import localize
    from deblur.restoration.progress import watch

    entry_point.reset_loggers()
    with errors.one_line_errors():
        command_line.expand_home(cfg)
        scalars.check_scalars(cfg, scalars.EvalScalars)
        run_folder.check_no_run(Path(cfg.run_dir))
        settings.check_groups(cfg, "blur", "data")
        protocols = choose(cfg.protocol)
        device = hardware.pick_device(cfg.device)
        hardware.keep_memory()
        given = overrides.split_paths(cfg.ckpt)
        paths = [str(find_model(name)) for name in given]
        loaded = [
            checkpoints.load_generator(path, trust=cfg.trust, stages=cfg.stages) for path in paths
        ]
        models = dict(zip(distinguish(given), loaded))
        for model in loaded if cfg.tlc else []:
            if not localize(model.network, cfg.tlc):
                kind = type(model.network).__name__
                raise ValueError(f"tlc={cfg.tlc}: {kind} has no statistics that can be local")
        methods = {
            label: adapt(model.network, device, cfg.precision) for label, model in models.items()
        }
        arithmetics = [name_arithmetic(method) for method in methods.values()]
        name, cfg = data_recipe.recall_data(cfg, [model.data for model in loaded])
        command_line.expand_home(cfg)
        settings.check_groups(cfg, "blur", "data")  # again, since a file may have chosen others
        data = instantiate(cfg.data, _convert_="all")
        data.setup("test")
        tests = data.test_dataloader()
        poses = getattr(tests.dataset, "poses", lambda index: None)
        if not tests.dataset.paired:
            protocols = []
            if not models:
                raise ValueError(f"{data.root}: has no sharp pictures; type ckpt=PATH to restore")
        scalars.check_variant(cfg, [protocol.name for protocol in protocols])
        sizes = islice(getattr(tests.dataset, "frame_sizes", {}).items(), cfg.limit)
        rehearse(protocols, poses=poses(0) is not None, sizes=sizes)
        if cfg.limit is None:  # a user's own data set may have nothing to decode
            getattr(tests.dataset, "decode_all", lambda: None)()
    count = min(len(tests), cfg.limit or len(tests))
    source = provenance.name_source(tests.dataset, data.root)
    log.info("data=%s (%s), test split, %d images", name, source, count)
    if tests.dataset.paired and cfg.unsharp:
        methods = {**_tune_mask(data, tests.dataset), **methods}
    run_folder.accept(cfg)
    if cfg.check and provenance.can_check(tests.dataset):
        log.info("checking the data, as deblur check-data does (check=false leaves it out)")
    verdict = provenance.check_data(tests.dataset) if cfg.check else None
    for fault in verdict["faults"] if verdict else []:
        log.warning("the data: %s (deblur check-data %s lists the faults)", fault, data.root)
    folder = Path(cfg.run_dir)
    names = [protocol.name for protocol in protocols]
    scenes, paired = tests.dataset.scenes[:count], tests.dataset.paired
    discard_pictures(folder)
    report = Report(folder, names, [*models], sheets=cfg.sheets, scenes=scenes)
    evaluation = Evaluation(methods, protocols, device)
    start = time.perf_counter()
    with errors.one_line_errors():
        done = evaluation.run(islice(tests, count), scenes, paired=paired, poses=poses)
        for restored in watch(done, count, "images"):
            report.add(restored)
    arithmetic = ", ".join(dict.fromkeys(arithmetics)) or cfg.precision
    about = {
        "title": f"{', '.join(models) or 'the data'} on {name}, test split",
        **provenance.of_run(dict(zip(models, zip(paths, loaded))), str(device), arithmetic),
        "tlc": cfg.tlc,
        "data": {**provenance.of_data(cfg.data, name, count, verdict), "source": source},
    }
    report.write(about, [*evaluation.timings.values()], published=cfg.published)
    log.info("%s", report.text())
    log.info("time:  %s", evaluation.report_time(time.perf_counter() - start))
    log.info("report:  %s", folder / "report.html")
    return report.mean_psnr(next(iter(models))) if models else None


def _tune_mask(data: Any, tests: Any) -> dict[str, Any]:
    """Tune an unsharp mask on validation pairs; return it by its label, or {} if it cannot be."""
    from deblur.evaluation.unsharp_mask import check_apart, tune_unsharp_mask

    log.info("tuning the unsharp mask on validation pairs (unsharp=false leaves it out)")
    try:
        data.setup("validate")
        validation = data.val_dataloader()
        check_apart(validation.dataset, tests)
        mask = tune_unsharp_mask(islice(validation, 8))
        return {mask.label: mask}
    except (ValueError, OSError) as error:
        log.warning("the unsharp mask is left out: %s", errors.explain(error))
        return {}


if __name__ == "__main__":
    sys.argv[1:] = overrides.quote_paths(command_line.read(sys.argv[1:]))
    with read_any_picture():
        entry_point.launch(main)
