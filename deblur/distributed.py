"""Processes that train together, one per device: their ranks, start and end, and communication.

Imports torch only when it is needed, since `train.py --help` imports this module.
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
"""Environment variables with a process' rank, set by torchrun, Slurm and Lightning."""
FOLLOW = "DEBLUR_FOLLOW"
"""Set in the environment of a process that must stop when its parent process ends."""
STARTER = "DEBLUR_STARTER"
"""The environment variable with the id of the process from which Lightning starts the others."""
GRACE = 10.0
"""Seconds after which a process ends by force when the first process of the run has ended."""


def is_first() -> bool:
    """Return whether this process is the first or only one of a run: it writes the run's files."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


def find_rank(environment: Mapping[str, str] = os.environ) -> tuple[int, int, int]:
    """Return this process' rank, the number of processes, and its rank on its own machine.

    They are those set by torchrun (RANK, WORLD_SIZE, LOCAL_RANK) or Slurm's srun, else 0, 1, 0.
    """
    # A job's script, which srun has not started, has the job's SLURM_NTASKS and SLURM_PROCID=0.
    count = "SLURM_STEP_NUM_TASKS" if "SLURM_JOB_ID" in environment else "SLURM_NTASKS"
    for names in (
        ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
        ("SLURM_PROCID", count, "SLURM_LOCALID"),
    ):
        if names[0] in environment and names[1] in environment:
            rank, ranks = (int(environment[name]) for name in names[:2])
            return rank, ranks, int(environment.get(names[2], rank))
    return 0, 1, 0


def prepare(arguments: list[str]) -> list[str]:
    """Prepare this process if it is one of several; return train.py's arguments, completed for it.

    Only the first process writes files. Exits with one line if torchrun or Slurm has started
    several processes without a common folder.
    """
    if FOLLOW in os.environ:
        _follow(os.getppid(), lambda: os.kill(os.getpid(), signal.SIGTERM))
    count = _count_started()
    if count == 1:
        os.environ.pop("SLURM_NTASKS", None)  # with it, Lightning would start no other processes
        if os.environ.get("LOCAL_RANK", "0") == "0":
            os.environ[STARTER] = str(os.getpid())
        elif STARTER in os.environ:
            _follow(int(os.environ[STARTER]), _leave)
        return arguments
    if not any(argument.startswith("hydra.run.dir=") for argument in arguments):
        sys.exit(f"error: a run of {count} processes requires a folder: add hydra.run.dir=FOLDER")
    if is_first():
        return arguments
    number = next(os.environ[name] for name in RANKS if name in os.environ)
    return [*arguments, f"hydra.job.name=train_ddp_process_{number}"]


def _count_started() -> int:
    """Return how many processes torchrun or Slurm has started, including this one."""
    elastic = "TORCHELASTIC_RUN_ID" in os.environ
    return int(os.environ.get("WORLD_SIZE" if elastic else "SLURM_NTASKS", "1"))


def _follow(parent: int, end: Callable[[], None]) -> None:
    """Call a function when the parent process has ended."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        end()

    threading.Thread(target=look, daemon=True).start()


def _leave() -> None:
    time.sleep(GRACE)
    os.write(2, b"error: the first process of this run has ended, so this one ends, too\n")
    os._exit(1)


def check(devices: int, machines: int, strategy: Any) -> None:
    """Raise ValueError if the devices cannot train together.

    devices: per machine. strategy: the setting trainer.strategy.
    """
    ranks, started = devices * machines, _count_started()
    if started not in (1, ranks):
        raise ValueError(
            f"torchrun or Slurm has started {started} processes, but trainer.devices={devices} and "
            f"trainer.num_nodes={machines} require {ranks}"
        )
    if machines > 1 and started == 1 and "MASTER_ADDR" not in os.environ:
        raise ValueError(
            f"trainer.num_nodes={machines} requires torchrun or Slurm, which start a process for "
            "each device: see examples/torchrun.sh and examples/slurm.sh"
        )
    if ranks > 1 and not isinstance(strategy, Mapping):
        raise ValueError(f"trainer.devices selects {ranks} devices, which require trainer=ddp")
    if ranks == 1 and strategy is not None:
        log.info("trainer=ddp trains on one device here; trainer.devices=2 makes two processes")


def explain(error: BaseException) -> str:
    """Return one line if an error is that of a lost connection to another process, else ""."""
    from torch import distributed

    told = str(error).partition("\n")[0]
    # Gloo's errors have no class and no number of their own: torch raises RuntimeError.
    lost = "closed by peer" in told or "reset by peer" in told
    if lost or distributed.is_available() and isinstance(error, distributed.DistError):
        return (
            "another process of this run has ended or cannot be reached, so this one ends, too; "
            f"see that process' error ({told})"
        )
    return ""


def tell_batch_norm(ranks: int, networks: "Iterable[nn.Module]", batch: int) -> None:
    """Log that batch norm differs from that on one device, if the networks have any.

    batch: the images of all devices in a step.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    parts = [part for network in networks for part in network.modules()]
    if ranks > 1 and any(isinstance(part, _BatchNorm) for part in parts):
        log.info(
            "batch norm: each of %d devices normalizes its own %d of a batch's %d images, unlike a "
            "single device; running statistics are averaged over the devices",
            *(ranks, batch // ranks, batch),
        )


def find_group_rank() -> tuple[int, int]:
    """Return this process' rank, and the number of processes that train together."""
    from torch import distributed as dist

    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def gather(values: "Tensor") -> "Tensor":
    """Collect (N,) of each process, in the order of a single process."""
    _, ranks = find_group_rank()
    if ranks == 1:
        return values
    import torch
    from torch import distributed as dist

    parts = [torch.empty_like(values) for _ in range(ranks)]
    dist.all_gather(parts, values.contiguous())
    return torch.stack(parts, 1).flatten()  # the processes take a batch's images in turn


def gather_names(names: list[str]) -> list[str]:
    """Collect the names of each process' images, in the order of a single process."""
    _, ranks = find_group_rank()
    if ranks == 1:
        return names
    from torch import distributed as dist

    parts: list[Any] = [None] * ranks
    dist.all_gather_object(parts, names)
    return [name for image in zip(*parts) for name in image]


def average_statistics(networks: "Iterable[nn.Module | None]") -> None:
    """Average the running statistics of batch norms over all processes, which differ in images."""
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
