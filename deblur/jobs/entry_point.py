"""How train.py and eval.py are run by Hydra, and what they print."""

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
from deblur.distributed import is_first

CHATTER = (
    ".*decompression bomb.*",  # deblur.media.images has a limit
    ".*does not have many workers.*",  # on a CPU none is best, see DeblurData
    ".*smaller than the logging interval.*",
    ".*treespec, LeafSpec.*",
    ".*Trying to infer the `batch_size`.*",
    ".*`srun` command is available.*",  # deblur.distributed checks how a run was started
    ".*It is recommended to use `self.log.*",  # metrics are summed over devices themselves
    ".*using 'checkpoint' in manual optimization.*",
    ".*resuming from a checkpoint that ended before the epoch ended.*",  # EpochSampler does
)


def reset_loggers() -> None:
    """Let Lightning's warnings reach Hydra's log file, once each; its chatter goes.

    Errors of TensorBoard's threads go, too.
    """
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    logging.raiseExceptions = False  # a log that a full disk does not take is not told each time
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    if not is_first():  # of several processes one tells
        logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric.strategies.launchers").setLevel(
        logging.INFO
    )  # of a killed one
    for message in CHATTER:
        warnings.filterwarnings("ignore", message)
    threading.excepthook = tell_of_thread


def tell_of_thread(args: threading.ExceptHookArgs) -> None:
    """Print a thread's error, but for TensorBoard's: that is raised where the next event is."""
    if "tensorboard" not in type(args.thread).__module__:
        threading.__excepthook__(args)


def launch(main: Callable[[], Any]) -> None:
    """Run a script's `hydra.main`; other errors of a user's are told in one line, too.

    They are Hydra's, which cannot compose a config, Lightning's of misuse, and the system's, such
    as a full disk. HYDRA_FULL_ERROR=1 in the environment shows where they come from.
    """
    if os.environ.setdefault("HYDRA_FULL_ERROR", "") == "1" and is_first():
        main()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints errors itself
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)  # as a shell says it
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        begun = any(frame.name == "run_job" for frame in frames)
        misuse = type(error).__name__ == "MisconfigurationException"  # Lightning's
        if begun and not misuse and not isinstance(error, Mistake | OSError):
            raise
        conf = Path(inspect.unwrap(main).__code__.co_filename).with_name("conf")
        with initialize_config_dir(str(conf), version_base="1.3"):  # for the names in it
            told = explain(error)
        keys = [argument.partition("=")[0].lstrip("+~") for argument in sys.argv[1:]]
        where = "" if begun or any(key in told for key in keys) else f" ({' '.join(sys.argv[1:])})"
        sys.exit(f"error: {told}{where}")
    finally:
        os.environ["HYDRA_FULL_ERROR"] = ""
