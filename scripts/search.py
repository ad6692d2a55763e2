"""Search for good settings by Optuna: each trial is a training, and bad ones end early.

python scripts/search.py runs/search --trials 30 experiment=quick \
    'model.lr=tag(log,interval(1e-4,1e-2))' 'model.generator.blocks=range(2,7)' \
    model/adversarial=minimax,least_squares

The settings are those of train.py, with ranges in Hydra's syntax as above. A trial is the run
RUNS/NUMBER, in its own processes: a failed one ends no other, and trainer=ddp works. The same
command again, one at a time, resumes a stopped search: finished trials are kept, and unfinished
ones are resumed. The output of a run is in its folder, as console.txt.

deblur compare RUNS shows the trials, and optuna-dashboard RUNS/study.log shows them while they run.
Hydra's own plugin for Optuna is not used, since it requires Optuna 2 and ends no trial early.
"""

import argparse
import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from deblur.extras import install_command
from deblur.jobs import run_status, worker_process

try:
    import optuna
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import FrozenTrial, Trial, TrialState
except ImportError as error:
    sys.exit(f"error: {error}: {install_command('sweep')}")

TRAIN = Path(__file__).resolve().parent.parent / "train.py"
SECONDS = 0.5
"""Seconds between two checks of a run."""


class Search:
    """A study in a folder, of settings for train.py, some of which are ranges.

    warmup: the number of epochs before which no trial ends early.
    """

    def __init__(self, folder: Path, settings: list[str], warmup: int) -> None:
        parsed = OverridesParser.create().parse_overrides(settings)
        self.ranges = [one for one in parsed if one.is_sweep_override()]
        self.fixed = [one.input_line or "" for one in parsed if not one.is_sweep_override()]
        if not self.ranges:
            raise ValueError(f"{' '.join(settings)}: expected a range, such as KEY=interval(0,1)")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / "study.log")))
        self.study = optuna.create_study(
            storage=storage, study_name="search", direction="maximize", load_if_exists=True
        )
        known = self.study.user_attrs.get("settings", settings)
        if known != settings:
            raise ValueError(f"{folder} is a search of {' '.join(known)}; choose another folder")
        self.study.set_user_attr("settings", settings)
        self.study.pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=warmup)
        # The seed depends on the number of trials: else a resumed search repeats the first draws.
        self.study.sampler = optuna.samplers.TPESampler(seed=len(self.study.trials))

    def run(self, trials: int, jobs: int) -> None:
        """Run or resume until `trials` trials have ended, `jobs` at a time."""
        self._take_up()
        left = trials - sum(trial.state.is_finished() for trial in self.trials().values())
        if left > 0:
            self.study.optimize(
                self._train,
                n_trials=left,
                n_jobs=jobs,
                catch=(RuntimeError,),
                callbacks=[lambda _, trial: print(self.tell(trial), flush=True)],
            )

    def trials(self) -> dict[str, FrozenTrial]:
        """List the trials by the names of their folders; a resumed one occurs once."""
        return {
            trial.user_attrs.get("folder", str(trial.number)): trial for trial in self.study.trials
        }

    def tell(self, trial: FrozenTrial) -> str:
        """Return one line about how a trial ended."""
        name = trial.user_attrs["folder"]
        end = run_status.read(self.folder / name)
        figure = "" if trial.value is None else f"{trial.value:.2f} dB "
        chosen = " ".join(f"{key}={value}" for key, value in trial.params.items())
        fault = f": {end.error}" if end and end.error else ""
        return f"{self.folder / name}  {trial.state.name.lower()} {figure}with {chosen}{fault}"

    def _take_up(self) -> None:
        """Queue the unfinished trials first."""
        for name, trial in self.trials().items():
            end = run_status.read(self.folder / name)
            open_end = end is not None and end.status in ("running", "stopped")
            if trial.state == TrialState.RUNNING:
                self.study.tell(trial.number, state=TrialState.FAIL)
            elif not (trial.state == TrialState.FAIL and open_end):
                continue
            self.study.enqueue_trial(trial.params, {"folder": name})

    def _train(self, trial: Trial) -> float:
        """Run a trial; raise RuntimeError if it fails, TrialPruned if it ends early."""
        name = trial.user_attrs.get("folder", str(trial.number))
        trial.set_user_attr("folder", name)
        chosen = [f"{one.get_key_element()}={choose(trial, one)}" for one in self.ranges]
        folder = self.folder / name
        settings = [*self.fixed, *chosen]
        process = worker_process.start(TRAIN, folder, settings, quiet=True)
        try:
            self._watch(trial, process, folder)
        finally:
            end = worker_process.finish(process, folder, settings)
        if end.status == "stopped":
            self.study.stop()
        if end.score is None:
            raise RuntimeError(end.error or f"{end.status} without a score")
        return end.score

    def _watch(self, trial: Trial, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        """Report each epoch's figure, and stop a run that is worse than the others."""
        known = 0
        while process.poll() is None:
            time.sleep(SECONDS)
            figures = read_figures(folder)
            for epoch, figure in figures[known:]:
                trial.report(figure, epoch)
            if len(figures) > known and trial.should_prune():
                process.terminate()
                process.wait()
                raise optuna.TrialPruned
            known = len(figures)


def choose(trial: Trial, override: Override) -> str | float:
    """Choose a value of a range, by its key."""
    key, values = override.get_key_element(), override.value()
    if isinstance(values, IntervalSweep):
        suggest = trial.suggest_int if isinstance(values.start, int) else trial.suggest_float
        return suggest(key, values.start, values.end, log="log" in values.tags)
    if isinstance(values, RangeSweep) and isinstance(values.start, int) and not values.shuffle:
        last = [*map(int, override.sweep_string_iterator())][-1]
        return trial.suggest_int(key, values.start, last, step=int(values.step))
    choice: str = trial.suggest_categorical(key, [*map(str, override.sweep_string_iterator())])
    return choice


def read_figures(folder: Path) -> list[tuple[int, float]]:
    """Read the epochs that a run has logged so far, each with its validation PSNR."""
    path = folder / "csv" / "metrics.csv"
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    rows = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
    return [(int(row["epoch"]), float(row["val/psnr"])) for row in rows if row.get("val/psnr")]


def main() -> None:
    """Search, and print the best trial and those that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path, metavar="RUNS", help="the search's folder")
    parser.add_argument(
        "settings", nargs="+", metavar="KEY=VALUE", help="settings for train.py, or ranges"
    )
    parser.add_argument("--trials", type=int, default=30, help="in all (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="at once (default %(default)s)")
    about = "epochs after which a run that is below the median ends (default %(default)s)"
    parser.add_argument("--warmup", type=int, default=5, help=about)
    options = parser.parse_intermixed_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        search = Search(options.folder, options.settings, options.warmup)
        search.run(options.trials, options.jobs)
    except (ValueError, OSError, HydraException) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:  # the same command resumes
        sys.exit(128 + signal.SIGINT)
    sys.exit(tell(search))


def tell(search: Search) -> str | int:
    """Print how the trials ended, the best first; return the exit status, or an error message."""
    trials = [*search.trials().values()]
    for trial in sorted(trials, key=lambda one: -(one.value or 0)):
        print(search.tell(trial))
    print(f"to compare them:  deblur compare {search.folder}")
    failed = sum(trial.state == TrialState.FAIL for trial in trials)
    return f"error: {failed} of {len(trials)} trials have no score" if failed else 0


if __name__ == "__main__":
    main()
