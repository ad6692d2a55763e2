"""The jobs of a sweep: each is told, none ends the others, and none is done twice."""

import logging
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial, wraps
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from deblur import outcome
from deblur.apart import finish, is_begun, start
from deblur.outcome import Outcome
from deblur.ranks import is_first
from deblur.run import Mistake

log = logging.getLogger(__name__)

Train = Callable[[DictConfig], float | None]
"""Trains by a config, and gives the run's score."""


def recorded(train: Any) -> Train:
    """Let a script's training write its Outcome, and be a job of a sweep.

    There what fails is told and gives NaN, and the sweep goes on; what was finished before is left
    out, and what was begun goes on. A job on several devices has processes of its own.
    """
    script = Path(train.__code__.co_filename).absolute()

    @wraps(train)
    def run(cfg: DictConfig) -> float | None:
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            return _note(train, cfg)
        apart = cfg.trainer.get("strategy") is not None
        return _attempt(partial(_train_apart, script) if apart else partial(_note, train), cfg)

    return run


def _attempt(work: Train, cfg: DictConfig) -> float | None:
    """Do a job unless it is done; for an error give NaN."""
    folder, handler = Path(cfg.run_dir), signal.getsignal(signal.SIGINT)
    before = outcome.read(folder)
    if before and before.overrides != _overrides():
        sys.exit(f"error: {folder} holds a run of other settings: give another hydra.sweep.dir")
    if before and before.status == "finished":
        log.info("finished before: %s, %s", folder, _show(before.score))
        return before.score
    if is_begun(folder):
        cfg.ckpt = "last"
    try:
        return work(cfg)
    except Exception as error:
        log.error("this job has failed: %s", error, exc_info=not isinstance(error, Mistake))
        return math.nan
    except BaseException:
        again = folder.parent
        log.info("to go on with the sweep: the same command, with hydra.sweep.dir=%s", again)
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)  # a training sets its own


def _note(train: Train, cfg: DictConfig) -> float | None:
    """Train, and write how it ends."""
    if not is_first():
        return train(cfg)
    folder, overrides = Path(cfg.run_dir), _overrides()
    with _claimed(folder):
        Outcome("running", overrides).write(folder)
        try:
            score = train(cfg)
        except BaseException as error:
            told = _tell(error)
            with suppress(OSError):  # of a full disk, which the run has told
                Outcome("failed" if told else "stopped", overrides, error=told).write(folder)
            raise
        Outcome("finished", overrides, score).write(folder)
    return score


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run's folder; raises Mistake where one is in it."""
    if os.name != "posix":
        yield
        return
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_WRONLY | os.O_CREAT)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which no loading process takes over
    except (BlockingIOError, PermissionError) as error:
        os.close(handle)
        raise Mistake(f"{folder}: another process trains in it; wait for its end") from error
    except OSError as error:
        log.debug("%s cannot be locked: %s", folder, error)  # a file system that knows no locks
    try:
        yield
    finally:
        os.close(handle)


def _train_apart(script: Path, cfg: DictConfig) -> float | None:
    """Train in a process of its own: several devices want a command line that they can repeat."""
    hydra, folder = HydraConfig.get(), Path(cfg.run_dir)
    sources = [one.path for one in hydra.runtime.config_sources if one.provider == "command-line"]
    options = [f"--config-dir={path}" for path in sources]
    process = start(script, folder, hydra.overrides.task, options)
    found = finish(process, folder)
    if found.status == "stopped":
        sys.exit(process.returncode)
    if found.status == "failed":
        raise Mistake(found.error)
    return found.score


def _overrides() -> list[str]:
    """List the run's settings; from where it goes on is none."""
    given = HydraConfig.get().overrides.task
    return [one for one in given if one.partition("=")[0] != "ckpt"]


def _tell(error: BaseException) -> str:
    """Say what went wrong, in one line; "" where somebody has stopped the run."""
    if isinstance(error, KeyboardInterrupt):
        return ""
    if isinstance(error, SystemExit):
        return error.code.removeprefix("error: ") if isinstance(error.code, str) else ""
    line = next(iter(str(error).splitlines()), "")
    return line if isinstance(error, Mistake) else f"{type(error).__name__}: {line}"


class Summary(Callback):
    """Hydra's callback that refuses the folder of another sweep, and tells how all jobs ended."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Exit with one line where the folder has other jobs, whose places would be taken."""
        folder = Path(config.hydra.sweep.dir)
        if (folder / "multirun.yaml").is_file():
            before = list(OmegaConf.load(folder / "multirun.yaml").hydra.overrides.task)
            now = list(config.hydra.overrides.task)
            if before != now:
                lacking = " ".join(one for one in before if one not in now) or "another order"
                sys.exit(
                    f"error: {folder} is of a sweep with {lacking}: give another hydra.sweep.dir"
                )

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print a line a job, the best first; exit with status 1 where one has no score."""
        folder = Path(config.hydra.sweep.dir)
        jobs = _find_jobs(folder)
        shared = set.intersection(*(set(job.overrides) for job in jobs.values())) if jobs else set()
        for name, job in jobs.items():
            own = " ".join(one for one in job.overrides if one not in shared)
            log.info("%s  %s: %s %s", name, own, job.status, job.error or _show(job.score))
        log.info("side by side:  deblur compare %s", folder)
        without = sum(job.score is None for job in jobs.values())
        if without:
            sys.exit(f"error: {without} of {len(jobs)} jobs gave no score")


def _find_jobs(folder: Path) -> dict[str, Outcome]:
    """Read how a sweep's jobs ended, by their folders, the best first."""
    places = [path.parent for path in sorted(folder.rglob(outcome.NAME))]
    found = {str(place.relative_to(folder)): outcome.read(place) for place in places}
    jobs = [(name, job) for name, job in found.items() if job]
    scores = {name: -math.inf if job.score is None else job.score for name, job in jobs}
    return dict(sorted(jobs, key=lambda item: -scores[item[0]]))


def _show(score: float | None) -> str:
    return "without a score" if score is None else f"{score:.2f} dB"
