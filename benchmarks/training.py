"""How long is a training step of the paper's networks, beside the same step done plainly?

python benchmarks/training.py [--crop 256] [--batch 4] [--rounds 3]

Plain is float32 in the default layout, ours what train.py chooses on this machine. Both run in
turn in this process, after a warm-up; the medians and their ratio are printed.
"""

import argparse
import statistics
import time

import torch
from torch import nn

from deblur.hardware import has_bfloat16, pick_device, place
from deblur.losses.adversarial import Minimax
from deblur.losses.content import Perceptual
from deblur.networks import DenseDiscriminator, ResNet


class Step:
    """One alternation: the discriminator's step, then the generator's."""

    def __init__(self, crop: int, *, plain: bool) -> None:
        self.device = pick_device()
        self.autocast = not plain and has_bfloat16(self.device)
        networks: list[nn.Module] = [ResNet(), DenseDiscriminator(crop=crop), Perceptual()]
        move = nn.Module.to if plain else place
        self.generator, self.discriminator, self.perceptual = (
            move(network, self.device) for network in networks  # type: ignore[operator]
        )
        self.optimizers = [torch.optim.Adam(n.parameters(), lr=1e-4) for n in networks[:2]]
        self.objective = Minimax()

    def __call__(self, blur: torch.Tensor, sharp: torch.Tensor) -> float:
        """Give the seconds that a step takes."""
        start = time.perf_counter()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            restored = self.generator(blur)
            verdict = self.objective.discriminator_loss(
                self.discriminator, restored.detach(), sharp
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
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    steps = {
        "plain float32": Step(options.crop, plain=True),
        "ours": Step(options.crop, plain=False),
    }
    device = pick_device()
    images = torch.rand(2, options.batch, 3, options.crop, options.crop, device=device) * 2 - 1
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(options.rounds + 1):
        for name, step in steps.items():
            taken = step(*images) / options.batch
            if round_:
                seconds[name].append(taken)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"A training step of the paper's networks, {options.crop} pixels, batch {options.batch},")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {device}:\n")
    print("| | seconds an image | ratio |\n|---|---:|---:|")
    for name, median in medians.items():
        print(f"| {name} | {median:.3f} | {medians['plain float32'] / median:.2f} |")


if __name__ == "__main__":
    main()
