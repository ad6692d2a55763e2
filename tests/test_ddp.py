"""Training on more than one device: what two processes do together is what one does alone."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import QUICKEST, ROOT
from together import (
    Before,
    find_port,
    kill_first,
    kill_second,
    spoil_second,
    stop_second,
    train_together,
)
from torch import Tensor

from deblur import distributed
from deblur.data.datamodule import DeblurData
from deblur.pair import Pair
from deblur.training.gan import DeblurGAN

EQUAL = [
    *(setting for setting in QUICKEST if setting not in ("trainer=cpu", "experiment=quick")),
    *("experiment=quick", "model/generator=resnet_kupyn", "model/discriminator=patch"),
    *("model/optimizer=sgd", "model.lr=1e-3", "model.discriminator_lr=1e-4"),
    *("model.generator.dropout=0", "model.schedule.decay_epochs=0", "model.average=0.5"),
    "data.dataset.held_out={crop: 32, val: 7, test: 3}",
]
"""Networks whose images have nothing to do with each other."""
OBJECTIVES = {
    "minimax": ["model/adversarial=minimax", "model.clip_norm=0.1"],
    "wasserstein_gp": [
        *("model/adversarial=wasserstein_gp", "model.discriminator_steps=2"),
        "model.discriminator.norm=none",  # on few pixels its second derivative is chaos
    ],
    "relativistic_ls": ["model/adversarial=relativistic_ls", "model.adversarial.history=3"],
}


def weights(folder: Path) -> dict[str, Tensor]:
    """Read all that was trained: both networks, their running average and the history."""
    state: dict[str, Tensor] = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)[
        "state_dict"
    ]
    return {name: value for name, value in state.items() if value.is_floating_point()}


def table(folder: Path) -> list[dict[str, float]]:
    """Read what was logged but for times."""
    with open(folder / "csv" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        {k: float(v) for k, v in row.items() if v and not k.startswith("time/")} for row in rows
    ]


def assert_equal(folder: Path, other: Path) -> None:
    one, two = weights(folder), weights(other)
    assert one.keys() == two.keys()
    for name in one:
        assert torch.allclose(one[name], two[name], rtol=0, atol=1e-6, equal_nan=True), name
    for here, there in zip(table(folder), table(other), strict=True):
        assert here.keys() == there.keys()
        for name in here.keys() - {"train/adversarial_share"}:  # the mean of each device's own
            # A pixel may be rounded to another of 8 bits.
            assert here[name] == pytest.approx(there[name], abs=1e-3 if "val" in name else 2e-6)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Keep the runs of one process."""
    return {}


@pytest.fixture
def alone(
    whole: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, start: Callable[..., None]
) -> Callable[[str], Path]:
    """Give a function that trains with an objective in one process, and gives the folder."""

    def train(objective: str) -> Path:
        if objective not in whole:
            whole[objective] = tmp_path_factory.mktemp("alone") / objective
            own = [*EQUAL, *OBJECTIVES[objective], "trainer=cpu"]
            start("train", *own, f"hydra.run.dir={whole[objective]}")
        return whole[objective]

    return train


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_two_processes_learn_what_one_learns_of_the_same_batches(
    objective: str, tmp_path: Path, alone: Callable[[str], Path]
) -> None:
    """Each has one of a batch's two images, and of seven to validate on four or three."""
    codes, said = train_together(tmp_path, *EQUAL, *OBJECTIVES[objective])
    assert codes == [0, 0], said
    assert_equal(tmp_path, alone(objective))


def place(module: DeblurData, rank: int, ranks: int, done: int = 0) -> None:
    """Give a data module as much of a trainer as it looks at, within the second epoch."""
    progress = SimpleNamespace(current=SimpleNamespace(completed=done))
    loop = SimpleNamespace(restarting=done > 0, epoch_loop=SimpleNamespace(batch_progress=progress))
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    ranked = {"global_rank": rank, "world_size": ranks}
    trainer: Any = SimpleNamespace(current_epoch=1, strategy=strategy, fit_loop=loop, **ranked)
    module.trainer = trainer


class Named:
    """Holds nine training pairs, and seven to validate and to test on: their places."""

    def __init__(self, *, root: str | None, split: str, crop: int, seed: int) -> None:
        self.size = 9 if split == "train" else 7

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: tuple[int, int]) -> Pair:
        return Pair(torch.zeros(1), torch.zeros(1), str(key))


def names(kind: str, ranks: int, done: int = 0) -> list[list[str]]:
    """List the names in each batch of all ranks together, sorted."""
    shares = []
    for rank in range(ranks):
        dataset: Any = Named
        module = DeblurData(dataset=dataset, root=None, batch_size=4, crop=32, seed=0)
        place(module, rank, ranks, done)
        module.setup("test" if kind == "test" else "fit")
        shares.append([list(batch.name) for batch in getattr(module, f"{kind}_dataloader")()])
    length = max(map(len, shares))
    batches = [
        [name for share in shares for name in sum(share[i : i + 1], [])] for i in range(length)
    ]
    return [sorted(batch) for batch in batches]


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_share_each_batch_that_one_process_has(ranks: int) -> None:
    whole = names("train", 1)
    assert [len(batch) for batch in whole] == [4, 4]
    assert names("train", ranks) == whole
    assert names("train", ranks, done=1) == whole[1:]  # of a run that goes on within the epoch


@pytest.mark.parametrize("ranks", [2, 3, 7])
@pytest.mark.parametrize("kind", ["val", "test"])
def test_seven_pictures_are_seven_on_any_number_of_ranks(kind: str, ranks: int) -> None:
    assert sorted(sum(names(kind, ranks), [])) == sorted(f"(0, {index})" for index in range(7))


BATCH_NORM = [setting for setting in QUICKEST if setting != "trainer=cpu"]


@pytest.mark.slow
def test_a_step_without_a_finite_loss_on_one_rank_is_skipped_on_all(tmp_path: Path) -> None:
    codes, said = train_together(tmp_path, *BATCH_NORM, before=spoil_second)
    assert codes == [1, 1], said
    assert (
        said.count("epoch 0, batch 1: the loss, nan, or its gradient is not finite; this st") == 1
    )
    assert "batch norm: each of 2 devices normalizes its own 1 of a batch's 2 images" in said
    batches = json.loads((tmp_path / "not_finite.json").read_text())
    assert [(one["epoch"], one["batch"]) for one in batches] == [(1, 0), (1, 1), (1, 2)]
    assert len({name for one in batches for name in one["names"]}) == 6  # of both ranks
    one, other = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2))
    for name, value in one.items():  # batch norm's memory, too
        assert torch.equal(value, other[name]) and value.isfinite().all(), name


@pytest.mark.slow
def test_a_run_goes_on_on_another_number_of_devices(
    tmp_path: Path,
    alone: Callable[[str], Path],
    start: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped within an epoch by Ctrl-C on one of two, or on one alone."""
    own = [*EQUAL, *OBJECTIVES["minimax"]]
    fewer, more = tmp_path / "fewer", tmp_path / "more"
    codes, said = train_together(fewer, *own, before=stop_second)
    assert codes == [130, 130] and "ckpt=last" in said, said
    start("train", "ckpt=last", "trainer=cpu", "trainer.devices=1", f"hydra.run.dir={fewer}")
    assert "number of devices is now 1, it was 2: the batches" in (fewer / "train.log").read_text()
    assert_equal(fewer, alone("minimax"))
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(DeblurGAN, "_learn", DeblurGAN._learn)
        stop_second(1)
        start("train", *own, "trainer=cpu", f"hydra.run.dir={more}")
    codes, said = train_together(more, "ckpt=last")
    assert codes == [0, 0], said
    assert "number of devices is now 2, it was 1: the batches" in said
    assert_equal(more, alone("minimax"))


DDP = ["trainer=ddp", "trainer.devices=2"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["trainer.devices=2"], "trainer.devices selects 2 devices, which require trainer=ddp"),
        ([*DDP, "data.batch_size=3"], "expected a multiple of their number, 2"),
        ([*DDP, "data.dataset.held_out.val=1"], "1 validation pairs are too few for 2 devices"),
        ([*DDP, "trainer.num_nodes=2"], "trainer.num_nodes=2 requires torchrun or Slurm"),
        (["trainer=ddp", "trainer.devices=0"], "trainer: `Trainer.devices=0.` value is not a val"),
    ],
)
def test_what_cannot_train_together_is_refused(
    arguments: list[str], message: str, tmp_path: Path, start: Callable[..., None]
) -> None:
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        start("train", *BATCH_NORM, *arguments, f"hydra.run.dir={tmp_path}")
    assert not (tmp_path / "checkpoints").exists()


def test_more_devices_than_there_are_are_refused(
    tmp_path: Path, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in ("hardware", "config.settings"):
        monkeypatch.setattr(f"deblur.{user}.pick_device", lambda _: torch.device("cpu"))
    for part in ("fabric", "pytorch"):
        monkeypatch.setattr(f"lightning.{part}.accelerators.cuda.num_cuda_devices", lambda: 1)
    with pytest.raises(SystemExit, match="^error: trainer: .*gpu"):
        start("train", *BATCH_NORM, *DDP, "trainer.accelerator=cuda", f"hydra.run.dir={tmp_path}")


@pytest.mark.parametrize(
    "place, arguments, message",
    [
        ({"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "4"}, DDP, "has started 4 processes, but tra"),
        (
            {"SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4"},
            [],
            "has started 4 processes, but trainer.devices=1 and trainer.n",
        ),
        (
            {"SLURM_NTASKS": "4"},
            None,
            "a run of 4 processes requires a folder: add hydra.run.dir=F",
        ),
    ],
)
def test_processes_and_devices_must_be_equally_many(
    place: dict[str, str],
    arguments: list[str] | None,
    message: str,
    tmp_path: Path,
    start: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {**place, "RANK": "0", "SLURM_PROCID": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    folder = [f"hydra.run.dir={tmp_path}", *arguments] if arguments is not None else []
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        start("train", *BATCH_NORM, *folder)


def test_a_single_task_of_slurm_may_start_processes_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lightning would wait for those that srun starts."""
    for name in ("SLURM_NTASKS", "SLURM_PROCID"):
        monkeypatch.setenv(name, "1" if "TASKS" in name else "0")
    assert distributed.prepare(["seed=1"]) == ["seed=1"]
    assert "SLURM_NTASKS" not in os.environ


@pytest.mark.slow
@pytest.mark.parametrize("kill, codes", [(kill_first, [-9, 1]), (kill_second, [1, -9])])
def test_a_killed_process_ends_the_other_within_a_minute(
    kill: Before, codes: list[int], tmp_path: Path
) -> None:
    found, said = train_together(tmp_path, *BATCH_NORM, before=kill)
    killed = (tmp_path / f"said{codes.index(-signal.SIGKILL)}.txt").stat().st_mtime
    assert found == codes and time.time() - killed < 60, said
    assert "error: another process of this run has ended" in said


@pytest.fixture
def run(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start a run of two processes."""
    own = [*BATCH_NORM, *DDP, f"hydra.run.dir={tmp_path}"]
    process = subprocess.Popen(
        [sys.executable, "train.py", *own],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def find_second(first: int) -> int:
    """Wait for the process that the first one starts."""
    while True:
        with suppress(OSError):  # a thread, or another process, that has ended
            for thread in Path(f"/proc/{first}/task").glob("*/children"):
                for child in thread.read_text().split():
                    if b"train_ddp_process_1" in Path(f"/proc/{child}/cmdline").read_bytes():
                        return int(child)
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="not Linux")
def test_the_first_process_killed_before_it_trains_ends_the_second(
    run: "subprocess.Popen[str]",
) -> None:
    find_second(run.pid)
    run.kill()
    said, _ = run.communicate(timeout=300)  # until both have closed it
    assert "error: the first process of this run has ended" in said


def run_script(name: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """Start a script of examples/."""
    own = {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        [ROOT / "examples" / name, *arguments],
        cwd=ROOT,
        env={**os.environ, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_torchrun_trains_on_two_machines(tmp_path: Path, alone: Callable[[str], Path]) -> None:
    """Both are this one."""
    own = [*EQUAL, *OBJECTIVES["minimax"], f"hydra.run.dir={tmp_path}"]
    place = {"NODES": "2", "DEVICES": "1", "MASTER": f"127.0.0.1:{find_port()}"}
    machines = [run_script("torchrun.sh", *own, **place) for _ in range(2)]
    said = [machine.communicate(timeout=300)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], said
    assert_equal(tmp_path, alone("minimax"))


SRUN = """#!/bin/sh
shift  # --kill-on-bad-exit=1
for node in 0 1; do
    SLURM_PROCID=$node SLURM_NODEID=$node SLURM_LOCALID=0 "$@" &
done
wait $!
"""


@pytest.mark.slow
def test_slurm_goes_on_on_two_machines(
    tmp_path: Path, alone: Callable[[str], Path], start: Callable[..., None]
) -> None:
    """Slurm is imitated; a first job has trained for an epoch."""
    folder, own = tmp_path / "run", [*EQUAL, *OBJECTIVES["minimax"]]
    start("train", *own, "trainer=cpu", "trainer.max_epochs=1", f"hydra.run.dir={folder}")
    (tmp_path / "srun").write_text(SRUN)
    (tmp_path / "srun").chmod(0o755)
    counts = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "2"}
    job = {"SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "deblur", "SLURM_NODELIST": "localhost"}
    place = {"MASTER_PORT": str(find_port()), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ran = run_script("slurm.sh", str(folder), *own, **counts, **job, **place)
    said, _ = ran.communicate(timeout=300)
    assert ran.returncode == 0, said
    assert "number of devices is now 2, it was 1" in said and "epoch 2/2" in said
    assert_equal(folder, alone("minimax"))


@pytest.mark.slow
def test_submitit_trains_a_job_on_two_devices(tmp_path: Path, alone: Callable[[str], Path]) -> None:
    own = [*EQUAL, *OBJECTIVES["minimax"], *DDP, "seed=0", "hydra/launcher=submitit_local"]
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "train.py", "-m", *own, f"hydra.sweep.dir={tmp_path}"],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        if "has not produced any output" not in ran.stderr:
            break  # submitit may start a job before it has made its folder
    assert ran.returncode == 0, ran.stderr
    assert_equal(tmp_path / "quick-0", alone("minimax"))
