"""The alternating training of a generator and a discriminator."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchmetrics import MeanMetric

from deblur.distributed import average_statistics
from deblur.losses.adversarial import Objective
from deblur.metrics.metric import ProtocolMetric
from deblur.networks.arguments import find_config
from deblur.networks.recompute import recompute as recompute_blocks
from deblur.pair import Pair, decode
from deblur.training.gradients import NotFinite, find_norm, is_finite
from deblur.training.number_checks import check_positive
from deblur.training.schedule import Schedule
from deblur.training.step_losses import StepLosses, TurnLoss


class DeblurGAN(L.LightningModule):
    """Trains a generator to restore blurred images, against a discriminator or alone.

    Args:
        generator: The network that restores.
        discriminator: The network that tells sharp from restored images; None trains without.
        adversarial: The adversarial objective; None exactly where the discriminator is.
        content: The content losses by name.
        weights: The weight of each content loss, and of "adversarial".
        optimizer: Called with parameters and lr, once for each network.
        lr: The learning rate of both networks, unless discriminator_lr is given.
        discriminator_lr: The discriminator's learning rate; None for `lr`.
        schedule: How the rates fall, and how long a backbone is frozen; None for neither.
        seed: With the epoch, the batch and the rank, it seeds a step's random numbers (dropout).
        every: The loss interval in batches of content losses that are not in each batch.
        discriminator_steps: Steps of the discriminator for each step of the generator.
        clip_norm: The largest norm of either network's gradient; None for no limit.
        average: The decay of an exponential moving average (EMA) of the generator's weights, such
            as 0.999. If set, validation uses the average, and so does loading the checkpoint.
        one_pass: Pass sharp and restored images to the discriminator in one batch: faster, but a
            batch norm in it then normalizes them together.
        recompute: Recompute some of the generator's activations in the backward pass instead of
            keeping them (see `deblur.networks.recompute`).

    Raises:
        ValueError: Arguments contradict each other, or a value is out of its range.
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
        schedule: Schedule | None = None,
        seed: int,
        every: Mapping[str, int] | None = None,
        discriminator_steps: int = 1,
        clip_norm: float | None = None,
        average: float | None = None,
        one_pass: bool = False,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.losses = StepLosses(
            generator=generator,
            discriminator=discriminator,
            adversarial=adversarial,
            content=content,
            weights=weights,
            every=every or {},
            discriminator_steps=discriminator_steps,
            one_pass=one_pass,
        )
        self.schedule = schedule or Schedule()
        if self.schedule.freeze_epochs and not hasattr(generator, "freeze_backbone"):
            raise ValueError(
                f"{type(generator).__name__} has no backbone: schedule.freeze_epochs must be 0"
            )
        check_positive({"lr": lr, "discriminator_lr": discriminator_lr, "clip_norm": clip_norm})
        if average is not None and not 0 < average < 1:
            raise ValueError(f"average must lie between 0 and 1, got {average}")
        self.automatic_optimization = False
        self.generator = generator
        self.discriminator = discriminator
        self.adversarial = adversarial
        self.content = nn.ModuleDict(content)
        self.optimizer = optimizer
        self.lr = lr
        self.discriminator_lr = lr if discriminator_lr is None else discriminator_lr
        self.seed = seed
        self.clip_norm = clip_norm
        if recompute:
            recompute_blocks(generator)
        self.average: AveragedModel | None = None
        if average is not None:
            averaging = get_ema_multi_avg_fn(average)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(generator, multi_avg_fn=averaging).requires_grad_(False)
        self.time_used = 0.0
        """The used share of the run's time limit, 0 to 1; 0 without a limit."""
        self.means: dict[str, tuple[Tensor, int]] = {}
        self.scores = ProtocolMetric("wang-rgb")
        self.blur_scores = ProtocolMetric("wang-rgb")
        self.change = MeanMetric()  # Lightning's own mean is wrong for unequal shares of devices

    def forward(self, blur: Tensor) -> Tensor:
        """Restore (N, 3, H, W) in [-1, 1]."""
        restored: Tensor = self.generator(blur)
        return restored

    def training_step(self, batch: Pair, batch_idx: int) -> dict[str, Tensor]:
        """Train the discriminator, then the generator; return the restored batch as "restored".

        If a loss or a gradient is not finite, that turn and the later ones of this batch are
        skipped, and the returned mapping has an entry "skipped", the loss.
        """
        self._seed_step(batch_idx, self.global_rank)
        before = [value.clone() for value in self._statistics()]
        scales = self.losses.restore(batch.blur)
        outputs = {"restored": scales[-1].detach()}
        try:
            self._learn(batch, scales, batch_idx)
        except NotFinite as fault:
            outputs["skipped"] = fault.loss
            self.zero_grad()
            with torch.no_grad():
                for value, old in zip(self._statistics(), before):
                    value.copy_(old)
        return outputs

    def on_train_batch_end(self, outputs: Any, batch: Pair, batch_idx: int) -> None:
        """Log the means after the last batch of an epoch or of the run."""
        if self.trainer.is_last_batch or self.trainer.should_stop:
            for name, (total, count) in self.means.items():
                self.log(f"train/{name}", total / count, on_step=False, on_epoch=True)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the gradients; a gradient scaler has already unscaled them at this point."""
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
        """Log the means over the validation images of all devices."""
        self.log("val/change", self.change.compute())  # in 8-bit levels
        self.change.reset()
        for prefix, metric in (("val/", self.scores), ("val/blur_", self.blur_scores)):
            for name, value in metric.compute().items():
                self.log(prefix + name, value, prog_bar=name == "psnr")
            metric.reset()

    def configure_optimizers(self) -> list[Optimizer]:
        """Return the generator's optimizer, then the discriminator's if there is one."""
        optimizers = [self.optimizer(self.generator.parameters(), lr=self.lr)]
        if self.discriminator is not None:
            own = self.discriminator.parameters()
            optimizers.append(self.optimizer(own, lr=self.discriminator_lr))
        return optimizers

    def on_train_start(self) -> None:
        """Set rates and frozen layers for a run that resumes within an epoch."""
        self._begin_epoch()

    def on_train_epoch_start(self) -> None:
        """Set rates and frozen layers, and reset the means."""
        self._begin_epoch()
        self.means = {}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the unfinished epoch's means, and the generator's config."""
        checkpoint["means"] = self.means
        if config := find_config(self.generator):
            checkpoint.setdefault("generator", config)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the means."""
        self.means = dict(checkpoint.get("means", {}))

    def _begin_epoch(self) -> None:
        """Set rates and frozen layers: functions of the epoch, so there is no state to restore."""
        if self.schedule.freeze_epochs:
            freeze: Any = self.generator.freeze_backbone
            freeze(self.current_epoch < self.schedule.freeze_epochs)
        self.set_rates()

    def set_rates(self) -> None:
        """Set the learning rates for the used share of the epochs, or of the time."""
        epochs = self.trainer.max_epochs or 0
        left = min(epochs - self.current_epoch, epochs * (1 - self.time_used))
        factor = self.schedule.factor(left)
        for optimizer, lr in zip(self.trainer.optimizers, (self.lr, self.discriminator_lr)):
            for group in optimizer.param_groups:
                group["lr"] = lr * factor

    def _seed_step(self, batch_idx: int, rank: int) -> None:
        place = (self.seed, self.current_epoch, batch_idx, rank)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))

    def _statistics(self) -> list[Tensor]:
        """List the buffers that a step may change; those of content losses are frozen."""
        parts = (self.generator, self.discriminator, self.adversarial)
        return [value for part in parts if isinstance(part, nn.Module) for value in part.buffers()]

    def _learn(self, batch: Pair, scales: Sequence[Tensor], batch_idx: int) -> None:
        """Run the turns of a step, and log their losses."""
        optimizers = dict(zip((self.generator, self.discriminator), self._optimizers()))
        if self.discriminator is not None and self.trainer.world_size > 1:
            self._seed_step(batch_idx, 0)  # an objective draws for the whole batch of all devices
        found: dict[nn.Module, TurnLoss] = {}
        rare = {}
        for turn in self.losses.turns(batch, scales, batch_idx):
            with self.toggled_optimizer(optimizers[turn.network]):
                found[turn.network] = loss = turn.compute()
                if turn.network is self.generator:
                    rare = self._rare(loss.parts, batch_idx)
                self._descend(optimizers[turn.network], loss.total)
        average_statistics([self.generator, self.discriminator])
        if self.average is not None:
            self.average.update_parameters(self.generator)
        for name, network in (("discriminator", self.discriminator), ("generator", self.generator)):
            if network is not None:
                self._log_turn(name, found[network], optimizers[network])
        for name, value in rare.items():
            # Lightning's own mean would be lost when a run is stopped.
            added, count = self.means.get(name, (torch.zeros(()), 0))
            self.means[name] = (added.to(value.device) + self._average_over_ranks(value), count + 1)

    def _rare(self, losses: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return the figures of the generator's turn that are not computed in every batch."""
        rare = {name: loss for name, loss in losses.items() if self.losses.is_rare(name)}
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if "adversarial" in losses and batch_idx % every == 0:
            rare["adversarial_share"] = self._adversarial_share(losses)
        return rare

    def _log_turn(self, name: str, loss: TurnLoss, optimizer: LightningOptimizer) -> None:
        self.log(f"train/{name}", loss.total.detach(), prog_bar=True, sync_dist=True)
        often = {part: value for part, value in loss.parts.items() if not self.losses.is_rare(part)}
        for part, value in {**often, **loss.figures}.items():
            self.log(f"train/{part}", value.detach(), sync_dist=True)
        self.log(f"lr/{name}", optimizer.param_groups[0]["lr"])

    def _optimizers(self) -> list[LightningOptimizer]:
        found: Any = self.optimizers()
        return found if isinstance(found, list) else [found]

    def _descend(self, optimizer: LightningOptimizer, loss: Tensor) -> None:
        """Take a step; raise NotFinite on all devices if loss or gradient of one is not finite."""
        optimizer.zero_grad()
        self.manual_backward(loss)
        scaled = getattr(self.trainer.precision_plugin, "scaler", None)  # checks gradients itself
        own = [] if scaled else [p for group in optimizer.param_groups for p in group["params"]]
        if not self.trainer.strategy.reduce_boolean_decision(is_finite(loss, own)):
            raise NotFinite(self._average_over_ranks(loss))
        optimizer.step()

    def _average_over_ranks(self, loss: Tensor) -> Tensor:
        """Return the mean of all devices' losses."""
        own = loss.detach().float().clone()  # `reduce` changes it in place
        mean: Tensor = self.trainer.strategy.reduce(own, reduce_op="mean")
        return mean

    def _adversarial_share(self, losses: dict[str, Tensor]) -> Tensor:
        """Return |a| / (|a| + |c|), a and c the generator's adversarial and content gradients."""
        content = {name: loss for name, loss in losses.items() if name != "adversarial"}
        norms = [
            find_norm(self.losses.total(part), self.generator)
            for part in ({"adversarial": losses["adversarial"]}, content)
            if part
        ]
        return norms[0] / torch.stack(norms).sum().clamp(min=torch.finfo(torch.float32).tiny)
