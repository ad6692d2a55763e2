"""Runs train.py and eval.py by Hydra, and decides what they print."""

import inspect
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir

from deblur.config.error_messages import explain
from deblur.config.errors import Mistake
from deblur.config.overrides import read_key
from deblur.distributed import is_first
from deblur.terminal import allow_any_name, printable

CHATTER = (
    ".*decompression bomb.*",  # deblur.media.images has a limit
    ".*does not have many workers.*",  # on a CPU 0 workers are best, see DeblurData
    ".*smaller than the logging interval.*",
    ".*treespec, LeafSpec.*",
    ".*Trying to infer the `batch_size`.*",
    ".*`srun` command is available.*",  # deblur.distributed checks how a run was started
    ".*It is recommended to use `self.log.*",  # the metrics sum over devices themselves
    ".*using 'checkpoint' in manual optimization.*",
    ".*resuming from a checkpoint that ended before the epoch ended.*",  # EpochSampler allows it
)


def reset_loggers() -> None:
    """Send Lightning's warnings to Hydra's log file, and suppress the irrelevant ones.

    Errors in TensorBoard's threads are suppressed, too.
    """
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    logging.raiseExceptions = False  # on a full disk, do not report each line that is not logged
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    if not is_first():  # of several processes, only the first one logs
        logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric.strategies.launchers").setLevel(
        logging.INFO
    )  # reports a killed process
    for message in CHATTER:
        warnings.filterwarnings("ignore", message)
    threading.excepthook = tell_of_thread


def tell_of_thread(args: threading.ExceptHookArgs) -> None:
    """Print a thread's error; leave out TensorBoard's, which is raised by the next event."""
    if "tensorboard" not in type(args.thread).__module__:
        threading.__excepthook__(args)


def launch(main: Callable[[], Any]) -> None:
    """Run a script's `hydra.main`; print the remaining errors that a user can correct in one line.

    These are Hydra's (a config cannot be composed), Lightning's (misconfiguration) and the system's
    (such as a full disk). HYDRA_FULL_ERROR=1 in the environment shows their tracebacks.
    """
    allow_any_name()
    if os.environ.setdefault("HYDRA_FULL_ERROR", "") == "1" and is_first():
        main()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints errors itself
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)  # the exit status of shells
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        begun = any(frame.name == "run_job" for frame in frames)
        misuse = type(error).__name__ == "MisconfigurationException"  # Lightning's
        if begun and not misuse and not isinstance(error, Mistake | OSError):
            raise
        conf = Path(inspect.unwrap(main).__code__.co_filename).with_name("conf")
        with initialize_config_dir(str(conf), version_base="1.3"):  # so that names can be suggested
            told = explain(error)
        keys = [read_key(argument) for argument in sys.argv[1:]]
        where = "" if begun or any(key in told for key in keys) else f" ({' '.join(sys.argv[1:])})"
        sys.exit(f"error: {printable(told + where)}")
    finally:
        os.environ["HYDRA_FULL_ERROR"] = ""
