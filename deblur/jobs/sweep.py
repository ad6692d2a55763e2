"""The jobs of a sweep: each is reported, none ends the others, and none is done twice."""

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
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deblur.config.errors import Mistake, Refusal
from deblur.config.overrides import quote_paths, read_key
from deblur.config.scalars import check_experiment
from deblur.distributed import FOLLOW, is_first
from deblur.jobs import run_folder, run_status, worker_process
from deblur.jobs.run_status import RunStatus
from deblur.terminal import printable

log = logging.getLogger(__name__)

Train = Callable[[DictConfig, Callable[[], None]], float | None]
"""Trains by a config and returns the run's score; calls its argument on accepting the config."""
PATIENCE = 60
"""Seconds that a job waits for an earlier process in its folder, left by a killed sweep, to end."""
_refused: dict[str, RunStatus] = {}
"""By data settings, a job whose data cannot be used: other jobs with the same are not tried."""
_told: dict[str, str] = {}
"""The reasons of failures logged so far, each with the first job that failed for it."""


def recorded(train: Train) -> Callable[[DictConfig], float | None]:
    """Decorate a script's training: it writes its RunStatus, and can be a job of a sweep.

    Each job of a sweep has its own process: whatever ends it, such as a lack of memory, ends no
    other job, and several devices work. A failed job is logged and returns NaN, and the sweep
    continues; jobs finished earlier are skipped, and unfinished ones are resumed.
    """
    script = Path(inspect.unwrap(train).__code__.co_filename).absolute()

    @wraps(train)
    def run(cfg: DictConfig) -> float | None:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            return _do_job(script, cfg)
        if FOLLOW in os.environ and hasattr(signal, "SIGUSR2"):
            # Slurm sends it to all processes, for submitit, which stops this one itself.
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        try:
            return _record(train, cfg)
        finally:
            run_folder.discard(Path(cfg.run_dir))

    return run


def _do_job(script: Path, cfg: DictConfig) -> float | None:
    """Run a job unless it has finished; return its score, NaN if it fails."""
    folder, overrides = Path(cfg.run_dir), _overrides()
    before = run_status.read(folder)
    if before and before.overrides != overrides:
        _refuse(f"{folder} holds a run with other settings: type another hydra.sweep.dir")
    if before and before.status == "finished":
        log.info("already finished: %s, %s", folder, _show(before.score))
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
    """Run a job in its own process; if the job is stopped, exit and so stop the sweep."""
    process = worker_process.start(script, folder, HydraConfig.get().overrides.task, _options())
    try:
        found = worker_process.finish(process, folder, overrides)
        if found.status == "stopped":
            raise KeyboardInterrupt
    except (KeyboardInterrupt, SystemExit) as error:
        log.info("to resume: the same command, with hydra.sweep.dir=%s", folder.parent)
        sys.exit(error.code if isinstance(error, SystemExit) else 128 + signal.SIGINT)
    return found


def _describe_data(cfg: DictConfig) -> str:
    """Return the settings that decide whether a job's data can be used, as text."""
    try:
        settings = OmegaConf.to_container(cfg.data, resolve=True)
    except OmegaConfBaseException as error:
        return str(error)
    if isinstance(settings, dict):
        settings.pop("seed", None)
    return repr(settings)


def _tell_failed(folder: Path, found: RunStatus) -> None:
    """Log why a job failed, each reason once in a sweep."""
    first = _told.setdefault(found.error, folder.name)
    if first == folder.name:
        log.error("this job has failed: %s", found.error)
    else:
        log.error("this job has failed for the same reason as %s", first)


def _listen() -> None:
    """Make SIGTERM end the sweep in order, unless it has a handler already."""
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _options() -> list[str]:
    """List Hydra's own options for a job: the config's place and the job's number."""
    hydra = HydraConfig.get()
    flags = {"main": "--config-path", "command-line": "--config-dir"}
    sources = [one for one in hydra.runtime.config_sources if one.provider in flags]
    places = [f"{flags[one.provider]}={one.path}" for one in sources]
    more = [one for one in hydra.overrides.hydra if one.startswith("hydra.searchpath=")]
    number = f"hydra.job.num={hydra.job.num}"  # a setting may refer to it
    return [f"--config-name={hydra.job.config_name}", *places, *more, number]


def _record(train: Train, cfg: DictConfig) -> float | None:
    """Train; once the run is accepted, write its status."""
    if not is_first():
        return train(cfg, lambda: run_folder.accept(cfg))
    folder, overrides = Path(cfg.run_dir), _overrides()
    awaited = FOLLOW in os.environ
    with run_status.claim(folder, wait=PATIENCE if awaited else 0):
        before = run_status.read(folder) if awaited else None
        # A sweep must learn that its job was refused; but a finished run's status is kept.
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
                with suppress(OSError):  # a full disk, which the run has reported
                    _describe(error, overrides).write(folder)
            raise
        if noted and score is not None and not math.isfinite(score):
            RunStatus("failed", overrides, error=f"its score is {score}").write(folder)
        elif noted:
            RunStatus("finished", overrides, score).write(folder)
    return score


def _overrides() -> list[str]:
    """List the run's settings; ckpt, where it resumes, does not count.

    Paths are quoted, as in a job's own process: else its parent would take them for others.
    """
    given = HydraConfig.get().overrides.task
    return quote_paths([one for one in given if read_key(one) != "ckpt"])


def _describe(error: BaseException, overrides: list[str]) -> RunStatus:
    """Return the status of a run that an error ended: "stopped" if the error has no message."""
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


def _refuse(reason: object) -> NoReturn:
    sys.exit(printable(f"error: {reason}"))


class Summary(Callback):
    """A Hydra callback that refuses the folder of another sweep, and reports how all jobs ended."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Exit with one line if the folder holds a run, or the jobs of another sweep."""
        os.environ[worker_process.SWEEP] = str(os.getpid())
        _refused.clear()
        _told.clear()
        folder = Path(config.hydra.sweep.dir)
        keys = {read_key(one) for one in config.hydra.overrides.task}
        if not keys & {"experiment", "trainer.max_epochs"}:
            try:
                check_experiment(config)
            except ValueError as error:  # else each job would report it
                _refuse(error)
        if (folder / run_status.NAME).is_file():
            _refuse(f"{folder} already holds a run: type another hydra.sweep.dir")
        if (folder / "multirun.yaml").is_file():
            before = list(OmegaConf.load(folder / "multirun.yaml").hydra.overrides.task)
            now = list(config.hydra.overrides.task)
            if before != now:
                lacking = " ".join(one for one in before if one not in now) or "another order"
                _refuse(f"{folder} holds a sweep with {lacking}: type another hydra.sweep.dir")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Log a line per job, the best first; exit with status 1 if one has no score."""
        folder = Path(config.hydra.sweep.dir)
        jobs = _find_jobs(folder)
        shared = set.intersection(*(set(job.overrides) for job in jobs.values())) if jobs else set()
        first: dict[str, str] = {}
        for name, job in jobs.items():
            own = " ".join(one for one in job.overrides if one not in shared)
            same = job.error and first.setdefault(job.error, name) != name
            why = f"like {first[job.error]}" if same else job.error or _show(job.score)
            log.info("%s  %s: %s, %s", name, own, job.status, why)
        log.info("to compare them:  deblur compare %s", folder)
        without = sum(job.score is None for job in jobs.values())
        if without:
            sys.exit(f"error: {without} of {len(jobs)} jobs have no score")


def _find_jobs(folder: Path) -> dict[str, RunStatus]:
    """Read the status of a sweep's jobs, by folder, the best first."""
    places = [path.parent for path in sorted(folder.rglob(run_status.NAME))]
    found = {str(place.relative_to(folder)): run_status.read(place) for place in places}
    jobs = [(name, job) for name, job in found.items() if job]
    scores = {name: -math.inf if job.score is None else job.score for name, job in jobs}
    return dict(sorted(jobs, key=lambda item: -scores[item[0]]))


def _show(score: float | None) -> str:
    return "without a score" if score is None else f"{score:.2f} dB"
