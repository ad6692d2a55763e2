"""What a command writes into its run's folder: nothing until the command has been accepted.

Hydra writes a config and opens a log file before a script can look at its settings, so that a
refused command would overwrite those of the run that the folder holds. conf/config.yaml switches
both off.
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
"""The folder of a run's config, with Hydra's own names."""


class DeferredHandler(MemoryHandler):
    """Keeps what is logged for another handler until the command has been accepted."""

    accepted = False

    def flush(self) -> None:
        """Hand it on; Hydra and Python ask for that at their ends, too."""
        if self.accepted:
            super().flush()


def accept(cfg: DictConfig) -> None:
    """Write the config into the run's folder, and what was logged so far into its log file."""
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
    """Raise ValueError where a folder, into which something else would be written, holds a run."""
    if (folder / run_status.NAME).exists():
        raise ValueError(f"{folder}: holds a run: give another hydra.run.dir=FOLDER")


def read_config(folder: Path) -> Any:
    """Read the config that a run has written into its folder, of an older version, too."""
    config = OmegaConf.load(folder / CONFIG / "config.yaml")
    rename_moved(config)
    return config


def tidied(main: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """Let a script leave no empty folder behind where its command is not accepted."""

    @wraps(main)
    def run(cfg: DictConfig) -> Any:
        try:
            return main(cfg)
        finally:
            discard(Path(cfg.run_dir))

    return run


def discard(folder: Path) -> None:
    """Remove a run's folder that Hydra has named and made, if it is empty, and the one it is in."""
    from hydra.core.hydra_config import HydraConfig

    given = ("hydra.run.dir=", "hydra.sweep.")
    if not any(one.startswith(given) for one in HydraConfig.get().overrides.hydra):
        with suppress(OSError):
            folder.rmdir()
            folder.parent.rmdir()
