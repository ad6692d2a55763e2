"""The jobs of a sweep: each is told, none ends the others, and none is done twice."""

import inspect
import logging
import math
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deblur.config.errors import Mistake, Refusal
from deblur.config.scalars import check_experiment
from deblur.distributed import FOLLOW, is_first
from deblur.jobs import run_folder, run_status, worker_process
from deblur.jobs.run_status import RunStatus

log = logging.getLogger(__name__)

Train = Callable[[DictConfig, Callable[[], None]], float | None]
"""Trains by a config, and gives the run's score; calls a function when it accepts the config."""
PATIENCE = 60
"""Seconds in which the job of a sweep that was killed may save itself."""
_refused: dict[str, RunStatus] = {}
"""Jobs of this sweep whose data cannot be used, by their data: others of the same are not tried."""
_told: dict[str, str] = {}
"""Reasons of failures that were told, and the jobs that they were told of."""


def recorded(train: Train) -> Callable[[DictConfig], float | None]:
    """Let a script's training write its RunStatus, and be a job of a sweep.

    There it has a process of its own, so that whatever ends it, such as a lack of memory, ends no
    other, and several devices work. What fails is told and gives NaN, and the sweep goes on; what
    was finished before is left out, and what was begun goes on.
    """
    script = Path(inspect.unwrap(train).__code__.co_filename).absolute()

    @wraps(train)
    def run(cfg: DictConfig) -> float | None:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            return _do_job(script, cfg)
        if FOLLOW in os.environ and hasattr(signal, "SIGUSR2"):
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # Slurm's, to submitit, which stops this
        try:
            return _note(train, cfg)
        finally:
            run_folder.discard(Path(cfg.run_dir))

    return run


def _do_job(script: Path, cfg: DictConfig) -> float | None:
    """Do a job unless it is done; one that fails gives NaN."""
    folder, overrides = Path(cfg.run_dir), _overrides()
    before = run_status.read(folder)
    if before and before.overrides != overrides:
        sys.exit(f"error: {folder} holds a run of other settings: give another hydra.sweep.dir")
    if before and before.status == "finished":
        log.info("finished before: %s, %s", folder, _show(before.score))
        return before.score
    _listen()
    data = _describe_data(cfg)
    if data in _refused:
        found = replace(_refused[data], overrides=overrides)
        found.write(folder)
    else:
        found = _run_in_process(script, folder, overrides)
    if found.fault == "data":
        _refused[data] = found
    if found.status == "failed":
        _tell_failed(folder, found)
        return math.nan
    return found.score


def _run_in_process(script: Path, folder: Path, overrides: list[str]) -> RunStatus:
    """Run a job in a process of its own; where it is stopped, so is the sweep."""
    process = worker_process.start(script, folder, HydraConfig.get().overrides.task, _options())
    try:
        found = worker_process.finish(process, folder, overrides)
        if found.status == "stopped":
            raise KeyboardInterrupt
    except (KeyboardInterrupt, SystemExit) as error:
        log.info("to go on: the same command, with hydra.sweep.dir=%s", folder.parent)
        sys.exit(error.code if isinstance(error, SystemExit) else 128 + signal.SIGINT)
    return found


def _describe_data(cfg: DictConfig) -> str:
    """Write down what decides whether a job's data can be used."""
    try:
        settings = OmegaConf.to_container(cfg.data, resolve=True)
    except OmegaConfBaseException as error:
        return str(error)
    if isinstance(settings, dict):
        settings.pop("seed", None)
    return repr(settings)


def _tell_failed(folder: Path, found: RunStatus) -> None:
    """Tell why a job has failed: each reason once in a sweep."""
    first = _told.setdefault(found.error, folder.name)
    if first == folder.name:
        log.error("this job has failed: %s", found.error)
    else:
        log.error("this job has failed like %s", first)


def _listen() -> None:
    """Let SIGTERM end the sweep in order, where nobody else listens to it."""
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _options() -> list[str]:
    """List what Hydra was told apart from settings: where the config is, and which job this is."""
    hydra = HydraConfig.get()
    flags = {"main": "--config-path", "command-line": "--config-dir"}
    sources = [one for one in hydra.runtime.config_sources if one.provider in flags]
    places = [f"{flags[one.provider]}={one.path}" for one in sources]
    more = [one for one in hydra.overrides.hydra if one.startswith("hydra.searchpath=")]
    number = f"hydra.job.num={hydra.job.num}"  # a setting may refer to it
    return [f"--config-name={hydra.job.config_name}", *places, *more, number]


def _note(train: Train, cfg: DictConfig) -> float | None:
    """Train, and write how it ends, once the run is accepted."""
    if not is_first():
        return train(cfg, lambda: run_folder.accept(cfg))
    folder, overrides = Path(cfg.run_dir), _overrides()
    awaited = FOLLOW in os.environ
    with run_status.claim(folder, wait=PATIENCE if awaited else 0):
        before = run_status.read(folder) if awaited else None
        # Who waits for a job is told that it was refused, but a finished run is never touched.
        noted = awaited and not (before and before.status == "finished")

        def begin() -> None:
            nonlocal noted
            noted = True
            RunStatus("running", overrides).write(folder)
            run_folder.accept(cfg)

        try:
            score = train(cfg, begin)
        except BaseException as error:
            if noted:
                with suppress(OSError):  # of a full disk, which the run has told
                    _describe(error, overrides).write(folder)
            raise
        if noted and score is not None and not math.isfinite(score):
            RunStatus("failed", overrides, error=f"its score is {score}").write(folder)
        elif noted:
            RunStatus("finished", overrides, score).write(folder)
    return score


def _overrides() -> list[str]:
    """List the run's settings; from where it goes on is none."""
    given = HydraConfig.get().overrides.task
    return [one for one in given if one.partition("=")[0] != "ckpt"]


def _describe(error: BaseException, overrides: list[str]) -> RunStatus:
    """Say how a run has ended by an error; somebody has stopped one that gives no reason."""
    told = ""
    if isinstance(error, Mistake):
        told = str(error)
    elif isinstance(error, SystemExit):
        told = error.code.removeprefix("error: ") if isinstance(error.code, str) else ""
    elif not isinstance(error, KeyboardInterrupt):
        line = next(iter(str(error).splitlines()), "")
        told = f"{type(error).__name__}: {line}"
    fault = error.fault if isinstance(error, Refusal) else ""
    return RunStatus("failed" if told else "stopped", overrides, error=told, fault=fault)


class Summary(Callback):
    """Hydra's callback that refuses the folder of another sweep, and tells how all jobs ended."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Exit with one line where the folder has other jobs, whose places would be taken."""
        os.environ[worker_process.SWEEP] = str(os.getpid())
        _refused.clear()
        _told.clear()
        folder = Path(config.hydra.sweep.dir)
        keys = {one.partition("=")[0] for one in config.hydra.overrides.task}
        if not keys & {"experiment", "trainer.max_epochs"}:
            try:
                check_experiment(config)
            except ValueError as error:  # else each job would tell it
                sys.exit(f"error: {error}")
        if (folder / run_status.NAME).is_file():
            sys.exit(f"error: {folder} holds a run: give another hydra.sweep.dir")
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
        first: dict[str, str] = {}
        for name, job in jobs.items():
            own = " ".join(one for one in job.overrides if one not in shared)
            same = job.error and first.setdefault(job.error, name) != name
            why = f"like {first[job.error]}" if same else job.error or _show(job.score)
            log.info("%s  %s: %s, %s", name, own, job.status, why)
        log.info("side by side:  deblur compare %s", folder)
        without = sum(job.score is None for job in jobs.values())
        if without:
            sys.exit(f"error: {without} of {len(jobs)} jobs gave no score")


def _find_jobs(folder: Path) -> dict[str, RunStatus]:
    """Read how a sweep's jobs ended, by their folders, the best first."""
    places = [path.parent for path in sorted(folder.rglob(run_status.NAME))]
    found = {str(place.relative_to(folder)): run_status.read(place) for place in places}
    jobs = [(name, job) for name, job in found.items() if job]
    scores = {name: -math.inf if job.score is None else job.score for name, job in jobs}
    return dict(sorted(jobs, key=lambda item: -scores[item[0]]))


def _show(score: float | None) -> str:
    return "without a score" if score is None else f"{score:.2f} dB"
