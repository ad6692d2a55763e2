"""Measure a trained generator:  python eval.py ckpt=runs/.../last.ckpt"""

import logging
import sys
from itertools import islice
from pathlib import Path

import hydra
from omegaconf import DictConfig

from deblur import run

log = logging.getLogger("eval")


@hydra.main(version_base="1.3", config_path="conf", config_name="eval")
def main(cfg: DictConfig) -> float | None:
    """Evaluate one checkpoint on its data's test split; return the mean PSNR, for sweepers."""
    from hydra.utils import instantiate

    from deblur import checkpoints, hardware
    from deblur.evaluation import evaluate
    from deblur.report import Report
    from deblur.unsharp import tune_unsharp_mask

    run.reset_loggers()
    with run.one_line_errors():
        run.check_scalars(cfg, run.EvalScalars)
        device = hardware.pick_device(cfg.device)
        generator = checkpoints.load_generator(cfg.ckpt)
        name, cfg = run.recall_data(cfg, generator.data)
        data = instantiate(cfg.data, _convert_="all")
        data.setup("test")
    tests = data.test_dataloader()
    paired, count = tests.dataset.paired, min(len(tests), cfg.limit or len(tests))
    log.info("data=%s (%s), test split, %d images", name, data.root or "built-in photos", count)
    methods = {"restored": hardware.place(generator.network, device)}
    if paired and cfg.unsharp:
        with run.one_line_errors("unsharp=false leaves this baseline out"):
            data.setup("validate")
        mask = tune_unsharp_mask(islice(data.val_dataloader(), 8))
        methods = {mask.label: mask, **methods}
    report = Report(Path(cfg.run_dir), sheets=cfg.sheets, count=count)
    for pair, images, results in evaluate(methods, islice(tests, count), device, paired=paired):
        report.add(pair, images, results)
    report.write({"checkpoint": cfg.ckpt, "data": name, "root": data.root, "device": str(device)})
    log.info("%s", report.text())
    log.info("pictures and figures: %s", report.folder)
    return report.mean_psnr("restored")


if __name__ == "__main__":
    sys.argv[1:] = run.quote_paths(sys.argv[1:])
    main()
