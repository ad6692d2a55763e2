"""Measure a training step of the paper's networks, compared with the same step in plain PyTorch.

python benchmarks/training.py [--crop 256] [--batch 16] [--rounds 3]

Plain is float32 in the default layout; ours is what train.py chooses on this machine, then with
each option of conf/model/gan.yaml that changes the cost. All run in turn in this process, after a
warm-up; the medians and their ratio are printed. Peak memory is measured in a process for each.
"""

import argparse
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

from deblur.hardware import PeakMemory, pick_device, place
from deblur.inference.race import race_training
from deblur.losses.adversarial import Minimax, OnePass
from deblur.losses.content import Perceptual
from deblur.networks import DenseDiscriminator, ResNet
from deblur.networks.recompute import recompute

WAYS = ("plain float32", "ours", "one_pass", "recompute")


class Step:
    """One training step: the discriminator's turn, then the generator's."""

    def __init__(self, crop: int, way: str = "ours") -> None:
        plain = way == WAYS[0]
        self.device = pick_device()
        self.one_pass = way == "one_pass"
        networks: list[nn.Module] = [ResNet(), DenseDiscriminator(crop=crop), Perceptual()]
        move = nn.Module.to if plain else place
        self.generator, self.discriminator, self.perceptual = (
            move(network, self.device) for network in networks  # type: ignore[operator]
        )
        chosen = "32-true" if plain else race_training(self.generator, self.device, crop)
        self.autocast = chosen == "bf16-mixed"
        if way == "recompute":
            recompute(self.generator)
        self.optimizers = [torch.optim.Adam(n.parameters(), lr=1e-4) for n in networks[:2]]
        self.objective = Minimax()

    def __call__(self, blur: torch.Tensor, sharp: torch.Tensor) -> float:
        """Return the seconds of a step."""
        start = time.perf_counter()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            restored = self.generator(blur)
            fixed, judge = restored.detach(), self.discriminator
            verdict = self.objective.discriminator_loss(
                OnePass(judge, sharp, fixed) if self.one_pass else judge, fixed, sharp
            )
            self._descend(1, verdict.loss)
            self.discriminator.requires_grad_(False)
            adversarial = self.objective.generator_loss(self.discriminator, restored, sharp)
            self._descend(0, self.perceptual(restored, sharp) + 0.01 * adversarial)
            self.discriminator.requires_grad_(True)
        if self.device.type != "cpu":
            getattr(torch, self.device.type).synchronize()
        return time.perf_counter() - start

    def _descend(self, which: int, loss: torch.Tensor) -> None:
        self.optimizers[which].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizers[which].step()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--memory", choices=WAYS, help="print the peak memory of two steps, in bytes"
    )
    options = parser.parse_args()
    device = pick_device()
    images = torch.rand(2, options.batch, 3, options.crop, options.crop, device=device) * 2 - 1
    if options.memory:
        with PeakMemory(device) as memory:
            step = Step(options.crop, options.memory)
            step(*images)
            step(*images)
        print(memory.peak)
        return
    steps = {way: Step(options.crop, way) for way in WAYS}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(options.rounds + 1):
        for name, step in steps.items():
            taken = step(*images) / options.batch
            if round_:
                seconds[name].append(taken)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"A training step of the paper's networks, {options.crop} pixels, batch {options.batch},")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {device}:\n")
    print("| | seconds an image | ratio | GB | of plain |\n|---|---:|---:|---:|---:|")
    memory = {way: _measure_memory(way, options) for way in WAYS}
    for way, median in medians.items():
        ratio, share = medians[WAYS[0]] / median, memory[way] / memory[WAYS[0]]
        print(f"| {way} | {median:.3f} | {ratio:.2f} | {memory[way] / 1e9:.1f} | {share:.0%} |")


def _measure_memory(way: str, options: argparse.Namespace) -> int:
    sizes = [f"--crop={options.crop}", f"--batch={options.batch}"]
    command = [sys.executable, __file__, "--memory", way, *sizes]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
