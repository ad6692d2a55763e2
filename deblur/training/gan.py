"""Who learns when: the alternating training of a generator and a discriminator."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchmetrics import MeanMetric

from deblur.distributed import average_statistics
from deblur.losses.adversarial import Objective, OnePass
from deblur.losses.content import halve
from deblur.metrics.metric import ProtocolMetric
from deblur.networks.arguments import find_config
from deblur.networks.recompute import recompute as recompute_blocks
from deblur.pair import Pair, decode
from deblur.training.gradients import NotFinite, find_norm, is_finite


class DeblurGAN(L.LightningModule):
    """Trains a generator to restore blurred images, against a discriminator or alone.

    adversarial, discriminator: the objective and the opponent; None for both trains on the content
    losses alone. content: the generator's content losses by name. weights: of each of them and of
    "adversarial"; the names are also the logged ones, and each name needs its weight. A generator
    with a method `pyramid` has the mean of each content loss over its scales and stages.
    every: compute a content loss in every so many batches alone, times that number.
    optimizer: called with parameters and lr, once for each network.
    lr: of both networks, unless discriminator_lr is given; constant, but for the last
    decay_epochs, when it falls to its share decay_to, as decay says: "linear", or "cosine", half a
    wave.
    freeze_epochs: the first ones, in which the generator's backbone, trained before, is kept.
    discriminator_steps: for each step of the generator, all on the same batch.
    clip_norm: the largest norm of either network's gradient; None for no limit.
    average: keep a running average of the generator's weights, to which each step leaves this share
    of what it was (0.999); validation uses it then, and so does who loads the checkpoint.
    one_pass: let the discriminator judge sharp and restored images as one batch, which is faster;
    a batch norm in it normalizes the two kinds together then.
    recompute: keep less of the generator for the way back, and compute it again (see `recompute`).
    seed: with the epoch, the batch and the rank it gives the step's random numbers (dropout).
    """

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module | None,
        adversarial: Objective | None,
        content: Mapping[str, nn.Module],
        weights: Mapping[str, float],
        optimizer: Callable[..., Optimizer],
        lr: float,
        discriminator_lr: float | None = None,
        seed: int,
        every: Mapping[str, int] | None = None,
        decay_epochs: int = 0,
        decay: Literal["linear", "cosine"] = "linear",
        decay_to: float = 0.0,
        freeze_epochs: int = 0,
        discriminator_steps: int = 1,
        clip_norm: float | None = None,
        average: float | None = None,
        one_pass: bool = False,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if (adversarial is None) != (discriminator is None):
            raise ValueError("an adversarial objective and a discriminator want each other")
        wanted = sorted([*content, "adversarial"] if adversarial else content)
        if sorted(weights) != wanted:
            raise ValueError(
                f"weights are for {sorted(weights)}, expected {wanted}: give those that lack by "
                "model.weights.NAME=1, take others out by ~model.weights.NAME"
            )
        if unknown := set(every or {}) - set(content):
            raise ValueError(f"every names {sorted(unknown)}, expected some of {sorted(content)}")
        if adversarial is None and all((every or {}).get(name, 1) > 1 for name in content):
            raise ValueError(
                "without an adversarial objective one content loss must be in every batch"
            )
        if freeze_epochs and not hasattr(generator, "freeze_backbone"):
            raise ValueError(f"{type(generator).__name__} has no backbone: freeze_epochs must be 0")
        if decay not in ("linear", "cosine"):
            raise ValueError(f"decay must be linear or cosine, got {decay}")
        if not 0 <= decay_to <= 1:
            raise ValueError(f"decay_to must lie in 0 to 1, got {decay_to}")
        rates = {"lr": lr, "discriminator_lr": discriminator_lr, "clip_norm": clip_norm}
        counts = {"discriminator_steps": discriminator_steps}
        counts |= {f"every.{name}": count for name, count in (every or {}).items()}
        epochs = {"decay_epochs": decay_epochs, "freeze_epochs": freeze_epochs}
        shares = {f"weights.{name}": weight for name, weight in weights.items()}
        _check_signs({**rates, **counts}, {**epochs, **shares})
        if average is not None and not 0 < average < 1:
            raise ValueError(f"average must lie between 0 and 1, got {average}")
        self.automatic_optimization = False
        self.generator = generator
        self.discriminator = discriminator
        self.adversarial = adversarial
        self.content = nn.ModuleDict(content)
        self.weights = dict(weights)
        self.every = {name: (every or {}).get(name, 1) for name in content}
        self.optimizer = optimizer
        self.lr = lr
        self.discriminator_lr = lr if discriminator_lr is None else discriminator_lr
        self.seed = seed
        self.decay_epochs = decay_epochs
        self.decay = decay
        self.decay_to = decay_to
        self.freeze_epochs = freeze_epochs
        self.discriminator_steps = discriminator_steps
        self.clip_norm = clip_norm
        self.one_pass = one_pass
        if recompute:
            recompute_blocks(generator)
        self.average: AveragedModel | None = None
        if average is not None:
            averaging = get_ema_multi_avg_fn(average)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(generator, multi_avg_fn=averaging).requires_grad_(False)
        self.time_used = 0.0
        """The share of its time that a run has used, where that is limited."""
        self.means: dict[str, tuple[Tensor, int]] = {}
        self.scores = ProtocolMetric("wang-rgb")
        self.blur_scores = ProtocolMetric("wang-rgb")
        self.change = MeanMetric()  # Lightning's own is wrong where devices have unequal shares

    def forward(self, blur: Tensor) -> Tensor:
        """Restore (N, 3, H, W) in [-1, 1]."""
        restored: Tensor = self.generator(blur)
        return restored

    def training_step(self, batch: Pair, batch_idx: int) -> dict[str, Tensor]:
        """Let the discriminator learn, then the generator; return the restored batch.

        Where a loss or a gradient is not finite, neither it nor what comes after it in this batch
        changes anything; what is returned then has an entry "skipped", the loss.
        """
        self._seed_step(batch_idx, self.global_rank)
        before = [value.clone() for value in self.buffers()]
        scales = self.scales(batch.blur)
        outputs = {"restored": scales[-1].detach()}
        try:
            self._learn(batch, scales, batch_idx)
        except NotFinite as fault:
            outputs["skipped"] = fault.loss
            self.zero_grad()
            with torch.no_grad():
                for value, old in zip(self.buffers(), before):
                    value.copy_(old)
        return outputs

    def on_train_batch_end(self, outputs: Any, batch: Pair, batch_idx: int) -> None:
        """Log the epoch's means after its last batch, or the run's."""
        if self.trainer.is_last_batch or self.trainer.should_stop:
            for name, (total, count) in self.means.items():
                self.log(f"train/{name}", total / count, on_step=False, on_epoch=True)

    @property
    def adversary(self) -> tuple[Objective, nn.Module] | None:
        """The objective and the discriminator, where there are any."""
        if self.adversarial is None or self.discriminator is None:
            return None
        return self.adversarial, self.discriminator

    def scales(self, blur: Tensor) -> list[Tensor]:
        """Restore (N, 3, H, W) at each scale and stage that the generator has, the result last."""
        pyramid = getattr(self.generator, "pyramid", None)
        images: list[Tensor] = pyramid(blur) if pyramid else [self(blur)]
        return images

    def generator_losses(
        self, batch: Pair, scales: Sequence[Tensor], batch_idx: int = 0
    ) -> dict[str, Tensor]:
        """Give the generator's losses that are due in this batch, unweighted, by name.

        scales: what it restored; the last has the sharp images' size, the others that of halvings.
        """
        truths = [self._shrink(batch.sharp, image) for image in scales[:-1]]
        truths.append(batch.sharp)
        losses = {
            name: torch.stack([loss(*images) for images in zip(scales, truths)]).mean()
            for name, loss in self.content.items()
            if batch_idx % self.every[name] == 0
        }
        if self.adversary:
            objective, discriminator = self.adversary
            losses["adversarial"] = objective.generator_loss(discriminator, scales[-1], batch.sharp)
        return losses

    def _shrink(self, sharp: Tensor, image: Tensor) -> Tensor:
        """Halve sharp images until they are no larger than those that a scale restored."""
        while sharp.shape[-1] > image.shape[-1]:
            sharp = halve(sharp)
        return sharp

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Weigh and add losses."""
        parts = [
            self.weights[name] * self.every.get(name, 1) * loss for name, loss in losses.items()
        ]
        return torch.stack(parts).sum()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip here, where a gradient scaler has already undone its factor."""
        if self.clip_norm is not None:
            self.clip_gradients(optimizer, self.clip_norm, "norm")

    def validation_step(self, batch: Pair, batch_idx: int) -> dict[str, Tensor]:
        """Score the restored and the blurred images; return the restored ones."""
        restored = (self.average or self)(batch.blur)
        self.scores.update(restored, batch.sharp)
        self.blur_scores.update(batch.blur, batch.sharp)
        levels = (decode(restored).float() - decode(batch.blur).float()).abs()
        self.change.update(levels.mean((1, 2, 3)))
        return {"restored": restored}

    def on_validation_epoch_end(self) -> None:
        """Log the means over all validation images, of all devices."""
        self.log("val/change", self.change.compute())  # in 8-bit levels
        self.change.reset()
        for prefix, metric in (("val/", self.scores), ("val/blur_", self.blur_scores)):
            for name, value in metric.compute().items():
                self.log(prefix + name, value, prog_bar=name == "psnr")
            metric.reset()

    def configure_optimizers(self) -> list[Optimizer]:
        """Give each network its optimizer."""
        optimizers = [self.optimizer(self.generator.parameters(), lr=self.lr)]
        if self.discriminator is not None:
            own = self.discriminator.parameters()
            optimizers.append(self.optimizer(own, lr=self.discriminator_lr))
        return optimizers

    def on_train_start(self) -> None:
        """Set what a run that goes on within an epoch needs."""
        self._begin_epoch()

    def on_train_epoch_start(self) -> None:
        """Set rates and what is frozen, and forget the last epoch's means."""
        self._begin_epoch()
        self.means = {}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the means of an epoch that is not at its end, and what the generator is."""
        checkpoint["means"] = self.means
        if config := find_config(self.generator):
            checkpoint.setdefault("generator", config)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with them."""
        self.means = dict(checkpoint.get("means", {}))

    def _begin_epoch(self) -> None:
        """Set rates and what is frozen: functions of the epoch, so there is no state to restore."""
        if self.freeze_epochs:
            freeze: Any = self.generator.freeze_backbone
            freeze(self.current_epoch < self.freeze_epochs)
        self.set_rates()

    def set_rates(self) -> None:
        """Set the learning rates for the share of the epochs, or of the time, that is used."""
        epochs = self.trainer.max_epochs or 0
        left = min(epochs - self.current_epoch, epochs * (1 - self.time_used))
        factor = min(1.0, left / self.decay_epochs) if self.decay_epochs else 1.0
        if self.decay == "cosine":
            factor = (1 - math.cos(math.pi * factor)) / 2
        factor = self.decay_to + (1 - self.decay_to) * factor
        for optimizer, lr in zip(self.trainer.optimizers, (self.lr, self.discriminator_lr)):
            for group in optimizer.param_groups:
                group["lr"] = lr * factor

    def _seed_step(self, batch_idx: int, rank: int) -> None:
        place = (self.seed, self.current_epoch, batch_idx, rank)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))

    def _learn(self, batch: Pair, scales: Sequence[Tensor], batch_idx: int) -> None:
        optimizers = self._optimizers()
        if self.adversary:
            if self.trainer.world_size > 1:
                self._seed_step(batch_idx, 0)  # an objective draws for the batch of all devices
            self._judge(*self.adversary, optimizers[1], scales[-1].detach(), batch.sharp)
        with self.toggled_optimizer(optimizers[0]):
            losses = self.generator_losses(batch, scales, batch_idx)
            every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
            rare = {name: loss for name, loss in losses.items() if self.every.get(name, 1) > 1}
            if self.adversary and batch_idx % every == 0:
                rare["adversarial_share"] = self._adversarial_share(losses)
            total = self.total(losses)
            self._descend(optimizers[0], total)
        average_statistics([self.generator, self.discriminator])
        if self.average is not None:
            self.average.update_parameters(self.generator)
        for name, loss in {**losses, **rare}.items():
            if name not in rare:
                self.log(f"train/{name}", loss.detach(), sync_dist=True)
                continue
            # Not Lightning's own mean, which would be lost when a run is stopped.
            added, count = self.means.get(name, (torch.zeros(()), 0))
            self.means[name] = (added.to(loss.device) + self._average_over_ranks(loss), count + 1)
        self.log("train/generator", total.detach(), prog_bar=True, sync_dist=True)
        for name, optimizer in zip(("generator", "discriminator"), optimizers):
            self.log(f"lr/{name}", optimizer.param_groups[0]["lr"])

    def _optimizers(self) -> list[LightningOptimizer]:
        found: Any = self.optimizers()
        return found if isinstance(found, list) else [found]

    def _judge(
        self,
        objective: Objective,
        discriminator: nn.Module,
        optimizer: LightningOptimizer,
        restored: Tensor,
        sharp: Tensor,
    ) -> None:
        """Let the discriminator learn."""
        for _ in range(self.discriminator_steps):
            with self.toggled_optimizer(optimizer):
                judge = OnePass(discriminator, sharp, restored) if self.one_pass else discriminator
                verdict = objective.discriminator_loss(judge, restored, sharp)
                self._descend(optimizer, verdict.loss)
        self.log("train/discriminator", verdict.loss.detach(), prog_bar=True, sync_dist=True)
        scores = {"train/score_sharp": verdict.sharp, "train/score_restored": verdict.restored}
        self.log_dict(scores, sync_dist=True)

    def _descend(self, optimizer: LightningOptimizer, loss: Tensor) -> None:
        """Take a step; raises NotFinite, on all devices alike, where the loss does not allow it."""
        optimizer.zero_grad()
        self.manual_backward(loss)
        scaled = getattr(self.trainer.precision_plugin, "scaler", None)  # it looks for itself
        own = [] if scaled else [p for group in optimizer.param_groups for p in group["params"]]
        if not self.trainer.strategy.reduce_boolean_decision(is_finite(loss, own)):
            raise NotFinite(self._average_over_ranks(loss))
        optimizer.step()

    def _average_over_ranks(self, loss: Tensor) -> Tensor:
        """Give the mean of all devices' losses."""
        own = loss.detach().float().clone()  # it is changed in place
        mean: Tensor = self.trainer.strategy.reduce(own, reduce_op="mean")
        return mean

    def _adversarial_share(self, losses: dict[str, Tensor]) -> Tensor:
        """Give |a| / (|a| + |c|), a and c the generator's adversarial and content gradients."""
        content = {name: loss for name, loss in losses.items() if name != "adversarial"}
        norms = [
            find_norm(self.total(part), self.generator)
            for part in ({"adversarial": losses["adversarial"]}, content)
            if part
        ]
        return norms[0] / torch.stack(norms).sum().clamp(min=torch.finfo(torch.float32).tiny)


def _check_signs(positive: Mapping[str, float | None], others: Mapping[str, float]) -> None:
    """Raise ValueError for a number that is not positive, or negative where it may be zero."""
    for name, number in positive.items():
        if number is not None and not number > 0:
            raise ValueError(f"{name} must be positive, got {number}")
    for name, number in others.items():
        if not number >= 0:
            raise ValueError(f"{name} must not be negative, got {number}")
