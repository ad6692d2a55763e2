"""The files of a command in its run's folder: none is written until the command is accepted.

By default Hydra writes a config and opens a log file before a script can check its settings, so
that a refused command would overwrite those of a run already in the folder. conf/config.yaml
switches both off.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from deblur.config.moved_targets import rename_moved
from deblur.distributed import is_first
from deblur.jobs import run_status

CONFIG = ".hydra"
"""The folder of a run's config; its files are named as by Hydra."""


class DeferredHandler(MemoryHandler):
    """Buffers log records for another handler until the command is accepted."""

    accepted = False

    def flush(self) -> None:
        """Pass the records on if accepted; Hydra and Python also call this when they exit."""
        if self.accepted:
            super().flush()


def accept(cfg: DictConfig) -> None:
    """Write the config into the run's folder, and the buffered log records into its log file."""
    from hydra.core.hydra_config import HydraConfig

    if is_first():
        folder = Path(cfg.run_dir, CONFIG)
        folder.mkdir(parents=True, exist_ok=True)
        hydra: Any = HydraConfig.instance().cfg
        OmegaConf.save(cfg, folder / "config.yaml")
        OmegaConf.save(hydra, folder / "hydra.yaml")
        OmegaConf.save(hydra.hydra.overrides.task, folder / "overrides.yaml")
    for handler in logging.getLogger().handlers:
        if isinstance(handler, DeferredHandler):
            handler.accepted = True
            handler.flush()


def check_no_run(folder: Path) -> None:
    """Raise ValueError if a folder holds a run, so that other files must not be written there."""
    if (folder / run_status.NAME).exists():
        raise ValueError(f"{folder}: already holds a run: type another hydra.run.dir=FOLDER")


def read_config(folder: Path) -> Any:
    """Read the config in a run's folder; it may be of an older version."""
    config = OmegaConf.load(folder / CONFIG / "config.yaml")
    rename_moved(config)
    return config


def tidied(main: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Decorate a script so that a refused command leaves no empty folder behind."""

    @wraps(main)
    def run(cfg: DictConfig) -> Any:
        try:
            return main(cfg)
        finally:
            discard(Path(cfg.run_dir))

    return run


def discard(folder: Path) -> None:
    """Remove an empty runs/NAME/TIME and its empty parents, unless the user chose the folder."""
    from hydra.core.hydra_config import HydraConfig

    given = ("hydra.run.dir=", "hydra.sweep.")
    if not any(one.startswith(given) for one in HydraConfig.get().overrides.hydra):
        with suppress(OSError):
            for empty in (folder, *folder.parents[:2]):
                empty.rmdir()
