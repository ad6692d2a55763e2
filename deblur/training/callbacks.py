"""Callbacks of a run: provenance, memory format, progress and time estimate."""

import logging
import shlex
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ProgressBar, RichProgressBar
from torch import Tensor, nn

from deblur.checkpoints import read_generator, save_generator
from deblur.hardware import place, synchronize
from deblur.pair import Pair
from deblur.training.budget import Pace, count_left, find_limit
from deblur.training.gan import DeblurGAN
from deblur.training.number_checks import check_positive

log = logging.getLogger(__name__)


class Provenance(Callback):
    """Records in each checkpoint its generator's config and the data it was trained on.

    When training ends, the best checkpoint's generator is also written to generator.safetensors.

    generator: the plain config of a class of `deblur.networks`. data: see
    `deblur.config.data_recipe`. folder: the run's folder.
    """

    def __init__(self, generator: dict[str, Any], data: dict[str, Any], folder: str) -> None:
        self.generator = generator
        self.data = data
        self.folder = Path(folder)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the entries "generator" and "data": plain containers."""
        checkpoint["generator"] = self.generator
        checkpoint["data"] = self.data

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the best generator, and log the commands that use it."""
        best = getattr(trainer.checkpoint_callback, "best_model_path", "")
        if not best or not trainer.is_global_zero:
            return
        path = self.folder / "generator.safetensors"
        contents = read_generator(Path(best))
        assert isinstance(pl_module, DeblurGAN)
        network = deepcopy(pl_module.generator).cpu()
        network.load_state_dict(contents.weights)
        save_generator(path, network, contents.config, contents.data)
        kind = "newest" if Path(best).name == "last.ckpt" else "best"  # without a validation
        log.info("the %s generator is in %s", kind, path)
        log.info("measure it:  python eval.py %s", shlex.quote(f"ckpt={path}"))
        log.info("look at the run:  tensorboard --logdir %s", shlex.quote(str(self.folder)))


class MemoryFormat(Callback):
    """Sets the memory format that is fastest on the device; activations follow the weights."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Convert the weights, before DDP fixes the layout of their gradients."""
        place(pl_module, trainer.strategy.root_device)
        for layer in pl_module.modules():
            if isinstance(layer, nn.InstanceNorm2d):
                layer.register_forward_hook(_order_gradient)


def _order_gradient(norm: nn.Module, _: Any, output: Tensor) -> None:
    """Work around torch 2.15: instance norm of one image permutes a channels-last gradient."""
    if len(output) == 1 and output.requires_grad:
        output.register_hook(torch.Tensor.contiguous)  # type: ignore[no-untyped-call]


CORRECT = 60.0
"""Seconds of training after which the estimate is first compared with the actual pace."""


class TimeEstimate(Callback):
    """Logs before the first epoch how long the run will take on this machine.

    Times one step's passes on a few images, which changes neither weights nor statistics. Logs a
    correction if the run turns out to be slower or faster.
    """

    def __init__(self, *, images: int = 4) -> None:
        check_positive({"images": images})
        self.images = images
        self.expected = 0.0
        """The estimated seconds from start to end."""
        self.look = CORRECT
        """Seconds from the start at which the estimate is compared next."""
        self.pace: Pace
        """The pace of the training, from its start on."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Rehearse a step once to warm up, then time it, and log the estimate."""
        assert isinstance(pl_module, DeblurGAN)
        loader: Any = trainer.train_dataloader
        batches = trainer.num_training_batches
        left = count_left(trainer)
        start = time.perf_counter()
        items = [loader.dataset[(0, index)] for index in range(min(self.images, loader.batch_size))]
        loading = time.perf_counter() - start
        # This includes the hooks that change a batch, such as blurring on the device.
        batch = trainer.strategy.batch_to_device(loader.collate_fn(items))
        statistics = {name: value.clone() for name, value in pl_module.named_buffers()}
        steps = pl_module.losses.period  # each loss is computed in at least one of these steps
        with trainer.precision_plugin.train_step_context():
            rehearse(pl_module, batch, 0)
            start = time.perf_counter()
            for index in range(steps):
                rehearse(pl_module, batch, index)
        seconds = (time.perf_counter() - start) / steps + (0 if loader.num_workers else loading)
        with torch.no_grad():
            for name, value in pl_module.named_buffers():
                value.copy_(statistics[name])
        total = seconds / len(items) * loader.batch_size * left
        self.expected = min(total, find_limit(trainer))
        log.info(
            "%d epochs of %d batches, %d batches to go: about %s on this machine%s",
            *(trainer.max_epochs, batches, left, _duration(self.expected)),
            ", when the time limit ends the run" if self.expected < total else "",
        )
        self.pace = Pace(trainer)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Correct the estimate after 1, 2, 4 ... minutes if it is off by more than a quarter."""
        elapsed = self.pace.elapsed
        if elapsed < self.look:
            return
        self.look = 2 * elapsed
        left = self.pace.estimate_left(trainer)
        if abs(left - (self.expected - elapsed)) > 0.25 * left:
            log.info("about %s left, at the pace so far", _duration(left))
            self.expected = elapsed + left


def rehearse(module: DeblurGAN, batch: Pair, batch_idx: int) -> None:
    """Run the passes of one training step without changing weights; all devices must take part."""
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    scales = module.losses.restore(batch.blur)
    for turn in module.losses.turns(batch, scales, batch_idx):
        torch.autograd.grad(turn.compute().total, weights, allow_unused=True)
    synchronize(module.device)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


FIGURES = {
    "train/generator": "loss {:.4g}",
    "val/psnr": "PSNR {:.2f} dB restored",
    "val/blur_psnr": "{:.2f} dB blurred",
}
"""The figures in each epoch's line, and their formats."""


class PlainProgress(ProgressBar):
    """Prints a line per epoch, for log files; csv/metrics.csv in the run's folder has the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.silent = False
        self.pace: Pace
        """The pace of the training, from its start on."""

    def disable(self) -> None:
        """Print nothing: of several devices, only one prints."""
        self.silent = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self.pace = Pace(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the epoch, the time, the loss and PSNR."""
        if self.silent:
            return
        last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        left = "" if last else f", about {_duration(self.pace.estimate_left(trainer))} left"
        found = trainer.callback_metrics
        figures = [
            words.format(float(found[name])) for name, words in FIGURES.items() if name in found
        ]
        print(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            f" after {_duration(self.pace.elapsed)}{left}: {', '.join(figures)}",
            flush=True,
        )


def progress() -> Callback:
    """Return a progress bar if stdout is a terminal, else plain lines."""
    return RichProgressBar() if sys.stdout.isatty() else PlainProgress()
