"""Processes that work together, a device each: their ranks, starts and ends, what they exchange.

Imports torch when it is first needed: `train.py --help` reads this module.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger(__name__)

RANKS = ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK")
"""In which torchrun, Slurm and Lightning tell a process which one it is."""
FOLLOW = "DEBLUR_FOLLOW"
"""In the environment of a process that is to be stopped when the one that started it is gone."""
STARTER = "DEBLUR_STARTER"
"""In the environment of the processes that Lightning starts: the number of the one that does."""
GRACE = 10.0
"""Seconds after which a process that has lost its first one ends wherever it is."""


def is_first() -> bool:
    """Say whether this process is the one that writes a run's files; one that is alone is."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


def find_rank(environment: Mapping[str, str] = os.environ) -> tuple[int, int, int]:
    """Tell which of how many processes this one is, and which on its machine.

    By what torchrun sets (RANK, WORLD_SIZE, LOCAL_RANK), or SLURM's srun; else 0 of 1.
    """
    for names in (
        ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
        ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
    ):
        if names[0] in environment and names[1] in environment:
            rank, ranks = (int(environment[name]) for name in names[:2])
            return rank, ranks, int(environment.get(names[2], rank))
    return 0, 1, 0


def prepare(arguments: list[str]) -> list[str]:
    """Make this process one of several, if it is; complete the arguments of train.py for it.

    The first alone writes files. Exits with one line where torchrun or Slurm has started several
    without a folder for all of them.
    """
    if FOLLOW in os.environ:
        _follow(os.getppid(), lambda: os.kill(os.getpid(), signal.SIGTERM))
    count = _count_started()
    if count == 1:
        os.environ.pop("SLURM_NTASKS", None)  # for Lightning would start no others from it
        if os.environ.get("LOCAL_RANK", "0") == "0":
            os.environ[STARTER] = str(os.getpid())
        elif STARTER in os.environ:
            _follow(int(os.environ[STARTER]), _leave)
        return arguments
    if not any(argument.startswith("hydra.run.dir=") for argument in arguments):
        sys.exit(f"error: one run of {count} processes wants one folder: hydra.run.dir=FOLDER")
    if is_first():
        return arguments
    number = next(os.environ[name] for name in RANKS if name in os.environ)
    return [*arguments, f"hydra.job.name=train_ddp_process_{number}"]


def _count_started() -> int:
    """Say how many processes torchrun or Slurm has started, of which this is one."""
    elastic = "TORCHELASTIC_RUN_ID" in os.environ
    return int(os.environ.get("WORLD_SIZE" if elastic else "SLURM_NTASKS", "1"))


def _follow(parent: int, end: Callable[[], None]) -> None:
    """Call a function when the process that started this one is gone."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        end()

    threading.Thread(target=look, daemon=True).start()


def _leave() -> None:
    time.sleep(GRACE)
    os.write(2, b"error: the first process of this run has ended, which ends all\n")
    os._exit(1)


def check(devices: int, machines: int, strategy: Any) -> None:
    """Raise ValueError where that many devices of each machine cannot train together.

    strategy: the setting trainer.strategy.
    """
    ranks, started = devices * machines, _count_started()
    if started not in (1, ranks):
        raise ValueError(
            f"torchrun or Slurm has started {started} processes, but trainer.devices={devices} and "
            f"trainer.num_nodes={machines} want {ranks}"
        )
    if machines > 1 and started == 1 and "MASTER_ADDR" not in os.environ:
        raise ValueError(
            f"trainer.num_nodes={machines} wants torchrun or Slurm, which start a process for each "
            "device: see examples/torchrun.sh and examples/slurm.sh"
        )
    if ranks > 1 and not isinstance(strategy, Mapping):
        raise ValueError(f"trainer.devices makes {ranks} devices, which want trainer=ddp")
    if ranks == 1 and strategy is not None:
        log.info("trainer=ddp trains on one device here; trainer.devices=2 makes two processes")


def explain(error: BaseException) -> str:
    """Say in one line that another process has ended and ended this one; "" for other errors."""
    from torch import distributed

    told = str(error).partition("\n")[0]
    # Gloo's errors have no class of their own, and no number: torch makes each a RuntimeError.
    lost = "closed by peer" in told or "reset by peer" in told
    if lost or distributed.is_available() and isinstance(error, distributed.DistError):
        return (
            "another process of this run has ended or cannot be reached, which ends all; its own "
            f"error tells why ({told})"
        )
    return ""


def tell_batch_norm(ranks: int, networks: "Iterable[nn.Module]", batch: int) -> None:
    """Log that batch norm is not as on one device, where there is any.

    batch: the images that all devices train on in a step.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    parts = [part for network in networks for part in network.modules()]
    if ranks > 1 and any(isinstance(part, _BatchNorm) for part in parts):
        log.info(
            "batch norm: each of %d devices normalizes its own %d of a batch's %d images, which is "
            "not as on one; what is remembered for later is the devices' average",
            *(ranks, batch // ranks, batch),
        )


def find_group_rank() -> tuple[int, int]:
    """Return this process' number, and how many train together."""
    from torch import distributed as dist

    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def gather(values: "Tensor") -> "Tensor":
    """Collect (N,) of each process, in the order in which one alone would have them."""
    _, ranks = find_group_rank()
    if ranks == 1:
        return values
    import torch
    from torch import distributed as dist

    parts = [torch.empty_like(values) for _ in range(ranks)]
    dist.all_gather(parts, values.contiguous())
    return torch.stack(parts, 1).flatten()  # a batch's images are dealt out in turn


def gather_names(names: list[str]) -> list[str]:
    """Collect the names of each process' images, in that order."""
    _, ranks = find_group_rank()
    if ranks == 1:
        return names
    from torch import distributed as dist

    parts: list[Any] = [None] * ranks
    dist.all_gather_object(parts, names)
    return [name for image in zip(*parts) for name in image]


def average_statistics(networks: "Iterable[nn.Module | None]") -> None:
    """Average what batch norm remembers over all processes, for each has seen images of its own."""
    _, ranks = find_group_rank()
    if ranks == 1:
        return
    import torch
    from torch import distributed as dist
    from torch.nn.modules.batchnorm import _BatchNorm

    parts = [part for network in networks if network for part in network.modules()]
    norms = [part for part in parts if isinstance(part, _BatchNorm)]
    kept = [value for one in norms for value in (one.running_mean, one.running_var)]
    values = [value for value in kept if value is not None]
    if not values:
        return
    with torch.no_grad():
        together = torch.cat(values)
        dist.all_reduce(together)
        means = torch.split(together / ranks, [len(one) for one in values])
        for value, mean in zip(values, means):
            value.copy_(mean)
