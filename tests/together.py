"""Two processes that train together, started as torchrun starts them, but in a second."""

import multiprocessing
import os
import runpy
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from conftest import ROOT
from lightning.pytorch.utilities import rank_zero_only

from deblur.training.gan import DeblurGAN
from deblur.training.step_losses import StepLosses

# Their imports are done once, in a process that has no threads yet.
CONTEXT: Any = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "together",
        "deblur.data.photos",
        *(
            f"deblur.training.{name}"
            for name in ("callbacks", "failure_checks", "loggers", "tensorboard")
        ),
    ]
)


Before = Callable[[int], None]
"""What a rank does, by its number, before it trains."""


def train_together(
    folder: Path, *arguments: str, before: Before | None = None
) -> tuple[list[int], str]:
    """Run train.py in two processes; give their exit codes, and what both have said."""
    port = find_port()
    folder.mkdir(parents=True, exist_ok=True)
    said = [folder / f"said{rank}.txt" for rank in range(2)]
    own = ["trainer=ddp", "trainer.devices=2", *arguments, f"hydra.run.dir={folder}"]
    processes = [
        CONTEXT.Process(target=_train, args=(rank, port, said[rank], own, before))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        process.kill()
        process.join()
    return [process.exitcode for process in processes], "".join(path.read_text() for path in said)


def find_port() -> int:
    """Find a port that nobody uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _train(rank: int, port: int, said: Path, arguments: list[str], before: Before | None) -> None:
    place = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": 2}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    os.environ |= {name: str(value) for name, value in {**place, **meeting}.items()}
    rank_zero_only.rank = rank  # Lightning was imported before the rank was known
    torch.set_num_threads(1)
    sys.stdout = sys.stderr = open(said, "a", buffering=1)
    if before:
        before(rank)
    sys.argv = ["train.py", *arguments]
    runpy.run_path(str(ROOT / "train.py"), run_name="__main__")


def spoil_second(rank: int) -> None:
    """Make the second rank's loss NaN in an epoch's second step, and in all of the next epoch.

    What a rank has after each step is written into the run's folder, as rank0.pt and rank1.pt.
    """
    total, step, now = StepLosses.total, DeblurGAN.training_step, [-1]

    def spoiled(self: StepLosses, losses: Any) -> torch.Tensor:
        value = total(self, losses)
        return value * torch.nan if rank and now[0] in (1, 3, 4, 5) else value

    def counted(self: DeblurGAN, *batch: Any) -> Any:
        now[0] += 1
        outputs = step(self, *batch)
        torch.save(self.state_dict(), Path(self.trainer.default_root_dir, f"rank{rank}.pt"))
        return outputs

    DeblurGAN.training_step = counted  # type: ignore[method-assign]
    StepLosses.total = spoiled  # type: ignore[method-assign]


def stop_second(rank: int) -> None:
    """Send Ctrl-C to the second rank in its second step."""
    if rank == 1:
        _signal_in_second_step(signal.SIGINT)


def kill_first(rank: int) -> None:
    """Kill the first rank in its second step."""
    if rank == 0:
        _signal_in_second_step(signal.SIGKILL)


def kill_second(rank: int) -> None:
    """Kill the second rank in its second step."""
    if rank == 1:
        _signal_in_second_step(signal.SIGKILL)


def _signal_in_second_step(number: int) -> None:
    learn, steps = DeblurGAN._learn, []

    def counted(self: DeblurGAN, *rest: Any) -> None:
        steps.append(number)
        if len(steps) == 2:
            print("signal", number)  # the time of the file is now that of the signal
            os.kill(os.getpid(), number)
        learn(self, *rest)

    DeblurGAN._learn = counted  # type: ignore[method-assign]
