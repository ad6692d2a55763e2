"""Resumes a stopped run: in its folder, with the command line that started it."""

import logging
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from omegaconf import OmegaConf

from deblur.config.moved_targets import rename_override
from deblur.config.overrides import literal, read_key, unquote
from deblur.distributed import is_first
from deblur.jobs import run_status
from deblur.jobs.run_folder import CONFIG
from deblur.jobs.run_status import RunStatus
from deblur.terminal import printable

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

NAMES = ("last", "previous", "best")
"""The checkpoints in a run's folder."""


class Start(NamedTuple):
    """Where a run starts."""

    path: Path | None
    """The checkpoint; None starts from the beginning."""
    step: int
    """The batches trained before."""
    epochs: int
    """The epochs trained before."""
    inside: bool
    """Whether the checkpoint belongs to the same folder, so that the run resumes."""
    precision: str | None = None
    """The Lightning precision of the checkpoint's training; None at the beginning."""
    minutes: float = 0.0
    """The minutes trained before."""


def recall(arguments: list[str]) -> list[str]:
    """Add to train.py's arguments those with which the run in hydra.run.dir was started.

    This happens if ckpt is one of that run's checkpoints, or "last", "previous" or "best".
    Arguments that are given again take precedence. hydra.run.dir may be left out in the run's own
    folder: this process then moves to the folder from which the run was started, to which relative
    paths refer. Exits with one line if there is no such run.
    """
    given = {read_key(argument): unquote(argument.partition("=")[2]) for argument in arguments}
    ckpt, folder = given.get("ckpt", ""), given.get("hydra.run.dir")
    if {"-m", "--multirun"} & set(arguments):
        return arguments  # each job of a sweep has its own folder
    if folder is None:
        if ckpt not in NAMES:
            return arguments
        if not Path(run_status.NAME).is_file():
            sys.exit(f"error: ckpt={ckpt} requires the run's folder: add hydra.run.dir=FOLDER")
        folder = os.getcwd()
        arguments = [*arguments, f"hydra.run.dir={literal(folder)}"]
        _return_to_start(Path(folder))
    if not _is_of(ckpt, Path(folder)):
        return arguments
    try:
        before = run_status.read(Path(folder))
    except ValueError as error:
        sys.exit(printable(f"error: {error}"))
    if before is None:
        place = Path(folder, run_status.NAME)
        sys.exit(printable(f"error: {folder}: holds no run that can be resumed; expected {place}"))
    started = map(rename_override, before.overrides)
    return [*(one for one in started if read_key(one) not in given), *arguments]


def _return_to_start(folder: Path) -> None:
    """Change to the working directory of a run's start, if its folder tells one that exists."""
    path = folder / CONFIG / "hydra.yaml"
    start = OmegaConf.select(OmegaConf.load(path), "hydra.runtime.cwd") if path.is_file() else None
    if start and Path(start).is_dir():
        sys.argv[0] = os.path.abspath(sys.argv[0])  # Lightning may start the script again
        os.chdir(start)


def find(ckpt: str | None, folder: Path) -> Start:
    """Find the checkpoint from which the run in a folder starts.

    ckpt: a path, or a name in the folder; None starts from the beginning, and so does "last" if the
    run was stopped before it wrote any checkpoint. Raises FileNotFoundError if there is no such
    file, and ValueError if it is not a checkpoint or if another run has used the folder.
    """
    inside = ckpt is not None and _is_of(ckpt, folder)
    if not inside and is_first():  # other processes would find the first one's files
        check_unused(folder)
    if ckpt is None:
        return Start(None, 0, 0, True)
    last = folder / "checkpoints" / "last.ckpt"
    path = folder / "checkpoints" / f"{ckpt}.ckpt" if ckpt in NAMES else Path(ckpt)
    if ckpt == "last" and not last.exists():
        files = [file for name in NAMES if (file := last.with_stem(name)).is_file()]
        if files:  # starting over would replace them
            newest = max(files, key=lambda file: file.stat().st_mtime)
            raise FileNotFoundError(
                f"{last}: no such file, but there is {newest}: type ckpt={newest.stem}"
            )
        log.info("%s has no checkpoint yet: the run starts from its beginning", folder)
        return Start(None, 0, 0, True)
    import torch

    from deblur.checkpoints.integrity import check_whole

    check_whole(path)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        counters = checkpoint["loops"]["fit_loop"]
        step = int(counters["epoch_loop.state_dict"]["_batches_that_stepped"])
        epochs = int(counters["epoch_progress"]["current"]["completed"])
        precision = checkpoint.get("precision")
        minutes = float(checkpoint.get("minutes", 0.0))
    except Exception as error:  # of any type; torch's message would advise an unsafe load
        raise ValueError(
            f"{path}: not a checkpoint of train.py; init={path} loads only its weights"
        ) from error
    return Start(path, step, epochs, inside, precision, minutes)


def check_unused(folder: Path) -> None:
    """Raise ValueError if a run or an evaluation has used a folder."""
    if (folder / run_status.NAME).exists():
        raise ValueError(
            f"{folder}: already holds a run: ckpt=last resumes it, another hydra.run.dir=FOLDER "
            "starts a new one"
        )
    if trace := run_status.find_trace(folder):
        raise ValueError(f"{folder}: already used ({trace}): type another hydra.run.dir=FOLDER")


def check_left(
    start: Start, epochs: int | None, folder: Path, minutes: float | None = None
) -> RunStatus | None:
    """Check whether a run has epochs and minutes left to train.

    Args:
        start: Where the run starts.
        epochs: The number of epochs to train; None for no limit.
        folder: The run's folder.
        minutes: The minutes to train; None for no limit.

    Returns:
        The status of the run if it has finished and nothing is left to do, else None.

    Raises:
        ValueError: Nothing is left to train, and the run cannot be returned as finished.
    """
    if start.path is None:
        return None
    if minutes is not None and start.minutes >= minutes:
        return _find_end(start, folder, f"its {minutes:g} minutes are used", "minutes", 2 * minutes)
    if epochs is None or start.epochs < epochs:
        return None
    more = f"expected trainer.max_epochs={start.epochs + 1} or more"
    if start.epochs > epochs:
        told = f"trainer.max_epochs is {epochs}, but {start.path} has {start.epochs}"
        raise ValueError(f"{told} epochs already, {more}")
    if not start.inside:
        raise ValueError(f"{start.path}: all {epochs} epochs are trained, {more}")
    return _find_end(
        start, folder, f"all {epochs} epochs are trained", "trainer.max_epochs", 2 * epochs
    )


def _find_end(start: Start, folder: Path, why: str, key: str, more: float) -> RunStatus | None:
    """Return the status of a run that has nothing left to do, and log how to train it longer.

    Args:
        start: Where the run would start.
        folder: The run's folder.
        why: Why nothing is left to do.
        key: The setting that trains it longer.
        more: A value for that setting.

    Returns:
        The status; None if the run was stopped before its best generator was written.

    Raises:
        ValueError: The checkpoint belongs to another folder.
    """
    if not start.inside:
        raise ValueError(f"{start.path}: {why}, expected more, such as {key}={more:g}")
    before = run_status.read(folder)
    if before is None or before.status != "finished":
        return None
    log.info("%s: finished, %s; nothing to do", folder, why)
    name = start.path.stem if start.path else "last"
    log.info(
        "to train longer:  python train.py %s ckpt=%s %s=%g",
        *(shlex.quote(f"hydra.run.dir={folder}"), name, key, more),
    )
    return before


def check_fit(path: Path, weights: "Mapping[str, Tensor]") -> None:
    """Raise ValueError if the weights of a checkpoint do not fit a run's networks."""
    import torch

    from deblur.checkpoints.contents import describe_difference

    found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
    if difference := describe_difference(found, weights):
        raise ValueError(f"{path}: does not fit the configured networks: {difference}")


def _is_of(ckpt: str, folder: Path) -> bool:
    own = (folder / "checkpoints").resolve()
    return ckpt in NAMES or bool(ckpt) and Path(ckpt).resolve().parent == own
