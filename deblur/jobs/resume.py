"""How a run that was stopped goes on: in its folder, by its own command line."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from deblur.config.moved_targets import rename_override
from deblur.distributed import is_first
from deblur.jobs import run_status
from deblur.jobs.run_status import RunStatus

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

NAMES = ("last", "previous", "best")
"""The checkpoints in a run's folder."""


class Start(NamedTuple):
    """From where a run goes."""

    path: Path | None
    """Its checkpoint; None for the beginning."""
    step: int
    """How many batches were trained until then."""
    epochs: int
    """How many epochs were trained until then."""
    inside: bool
    """Whether it is a run of the same folder that goes on."""
    precision: str | None = None
    """Lightning's, in which it was trained; None for the beginning."""
    minutes: float = 0.0
    """How long it was trained until then."""


def recall(arguments: list[str]) -> list[str]:
    """Complete the arguments of train.py by those with which the run in hydra.run.dir was started.

    That is where ckpt is one of that run's checkpoints, or its name; what is given again wins. The
    folder that one is in need not be given. Exits with one line where there is no such run.
    """
    given = {_key(argument): argument.partition("=")[2].strip("'\"") for argument in arguments}
    ckpt, folder = given.get("ckpt", ""), given.get("hydra.run.dir")
    if {"-m", "--multirun"} & set(arguments):
        return arguments  # a job has a folder of its own
    if folder is None:
        if ckpt not in NAMES:
            return arguments
        if not Path(run_status.NAME).is_file():
            sys.exit(f"error: ckpt={ckpt} is a run's: give its folder by hydra.run.dir=FOLDER")
        folder = "."
        arguments = [*arguments, "hydra.run.dir=."]
    if not _is_of(ckpt, Path(folder)):
        return arguments
    try:
        before = run_status.read(Path(folder))
    except ValueError as error:
        sys.exit(f"error: {error}")
    if before is None:
        place = Path(folder, run_status.NAME)
        sys.exit(f"error: {folder}: holds no run that could go on; expected {place}")
    started = map(rename_override, before.overrides)
    return [*(one for one in started if _key(one) not in given), *arguments]


def find(ckpt: str | None, folder: Path) -> Start:
    """Find the checkpoint from which the run in a folder goes on.

    ckpt: a path, or a name in the folder; a run that was stopped before it wrote any starts again.
    Raises FileNotFoundError, or ValueError where the file cannot be gone on from, or where a run
    that is not to go on has used the folder.
    """
    inside = ckpt is not None and _is_of(ckpt, folder)
    if not inside and is_first():  # other processes find what the first has written
        check_unused(folder)
    if ckpt is None:
        return Start(None, 0, 0, True)
    last = folder / "checkpoints" / "last.ckpt"
    path = folder / "checkpoints" / f"{ckpt}.ckpt" if ckpt in NAMES else Path(ckpt)
    if ckpt == "last" and not last.exists():
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
    except Exception as error:  # nothing is known of the file, and torch's text is advice to run it
        raise ValueError(
            f"{path}: not a checkpoint of train.py; init={path} takes weights alone"
        ) from error
    return Start(path, step, epochs, inside, precision, minutes)


def check_unused(folder: Path) -> None:
    """Raise ValueError where a run or an evaluation has used a folder."""
    if (folder / run_status.NAME).exists():
        raise ValueError(
            f"{folder}: already holds a run: ckpt=last resumes it, another hydra.run.dir=FOLDER "
            "starts a new one"
        )
    if trace := run_status.find_trace(folder):
        raise ValueError(f"{folder}: already used ({trace}): give another hydra.run.dir=FOLDER")


def check_left(
    start: Start, epochs: int | None, folder: Path, minutes: float | None = None
) -> RunStatus | None:
    """Compare the epochs and minutes that are trained with those that a run is to have.

    None is no limit. Returns how the run ended, where nothing is left to do for it. Raises
    ValueError where nothing can be trained.
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
        raise ValueError(f"{told} epochs behind it, {more}")
    if not start.inside:
        raise ValueError(f"{start.path}: all {epochs} epochs are trained, {more}")
    return _find_end(
        start, folder, f"all {epochs} epochs are trained", "trainer.max_epochs", 2 * epochs
    )


def _find_end(start: Start, folder: Path, why: str, key: str, more: float) -> RunStatus | None:
    """Return how a run ended that has nothing left to do; log how it could be trained on.

    None where its best generator is not written yet.
    """
    if not start.inside:
        raise ValueError(f"{start.path}: {why}, expected {key}={more:g} or so")
    before = run_status.read(folder)
    if before is None or before.status != "finished":
        return None
    log.info("%s: finished, %s; nothing was done", folder, why)
    name = start.path.stem if start.path else "last"
    log.info(
        "to train on:  python train.py hydra.run.dir=%s ckpt=%s %s=%g", folder, name, key, more
    )
    return before


def check_fit(path: Path, weights: "Mapping[str, Tensor]") -> None:
    """Raise ValueError where a run's networks are not those of its checkpoint."""
    import torch

    from deblur.checkpoints.contents import describe_difference

    found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
    if difference := describe_difference(found, weights):
        raise ValueError(f"{path}: does not fit the configured networks: {difference}")


def _is_of(ckpt: str, folder: Path) -> bool:
    own = (folder / "checkpoints").resolve()
    return ckpt in NAMES or bool(ckpt) and Path(ckpt).resolve().parent == own


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")
