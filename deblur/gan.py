"""Who learns when: the alternating training of a generator and a discriminator."""

from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from deblur.losses.adversarial import Objective
from deblur.metrics.metric import ProtocolMetric
from deblur.pair import Pair, decode


class DeblurGAN(L.LightningModule):
    """Trains a generator to restore blurred images, against a discriminator.

    content: the generator's content losses by name. weights: of each of them and of
    "adversarial"; the names are also the logged ones, and each name needs its weight.
    every: compute a content loss in every so many batches alone, times that number.
    optimizer: called with parameters and lr, once for each network.
    lr: of both networks, unless discriminator_lr is given; constant, but for the last
    decay_epochs, when it falls linearly to zero.
    discriminator_steps: for each step of the generator, all on the same batch.
    clip_norm: the largest norm of either network's gradient; None for no limit.
    seed: with the epoch, the batch and the rank it gives the step's random numbers (dropout).
    """

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module,
        adversarial: Objective,
        content: Mapping[str, nn.Module],
        weights: Mapping[str, float],
        optimizer: Callable[..., Optimizer],
        lr: float,
        discriminator_lr: float | None = None,
        seed: int,
        every: Mapping[str, int] | None = None,
        decay_epochs: int = 0,
        discriminator_steps: int = 1,
        clip_norm: float | None = None,
    ) -> None:
        super().__init__()
        if set(weights) != {*content, "adversarial"}:
            raise ValueError(
                f"weights are for {sorted(weights)}, expected {sorted([*content, 'adversarial'])}"
            )
        if unknown := set(every or {}) - set(content):
            raise ValueError(f"every names {sorted(unknown)}, expected some of {sorted(content)}")
        if lr <= 0 or discriminator_steps < 1 or decay_epochs < 0:
            raise ValueError(
                "lr and discriminator_steps must be positive and decay_epochs not negative, got "
                f"{lr}, {discriminator_steps} and {decay_epochs}"
            )
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
        self.discriminator_steps = discriminator_steps
        self.clip_norm = clip_norm
        self.scores = ProtocolMetric("wang-rgb")
        self.blur_scores = ProtocolMetric("wang-rgb")

    def forward(self, blur: Tensor) -> Tensor:
        """Restore (N, 3, H, W) in [-1, 1]."""
        restored: Tensor = self.generator(blur)
        return restored

    def training_step(self, batch: Pair, batch_idx: int) -> dict[str, Tensor]:
        """Let the discriminator learn, then the generator; return the restored batch."""
        self._seed_step(batch_idx)
        optimizer_g, optimizer_d = self.optimizers()  # type: ignore[attr-defined]
        restored = self(batch.blur)
        for _ in range(self.discriminator_steps):
            with self.toggled_optimizer(optimizer_d):
                verdict = self.adversarial.discriminator_loss(
                    self.discriminator, restored.detach(), batch.sharp
                )
                self._descend(optimizer_d, verdict.loss)
        with self.toggled_optimizer(optimizer_g):
            losses = self.generator_losses(batch, restored, batch_idx)
            if batch_idx % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
                share = self._adversarial_share(losses)
                self.log("train/adversarial_share", share, on_step=False, on_epoch=True)
            total = self.total(losses)
            self._descend(optimizer_g, total)
        for name, loss in losses.items():
            rare = self.every.get(name, 1) > 1
            self.log(f"train/{name}", loss.detach(), on_step=not rare, on_epoch=rare)
        self.log("train/generator", total.detach(), prog_bar=True)
        self.log("train/discriminator", verdict.loss.detach(), prog_bar=True)
        self.log_dict(
            {"train/score_sharp": verdict.sharp, "train/score_restored": verdict.restored}
        )
        for name, optimizer in (("generator", optimizer_g), ("discriminator", optimizer_d)):
            self.log(f"lr/{name}", optimizer.param_groups[0]["lr"])
        return {"restored": restored.detach()}

    def generator_losses(
        self, batch: Pair, restored: Tensor, batch_idx: int = 0
    ) -> dict[str, Tensor]:
        """Give the generator's losses that are due in this batch, unweighted, by name."""
        losses = {
            name: loss(restored, batch.sharp)
            for name, loss in self.content.items()
            if batch_idx % self.every[name] == 0
        }
        losses["adversarial"] = self.adversarial.generator_loss(
            self.discriminator, restored, batch.sharp
        )
        return losses

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
        restored = self(batch.blur)
        self.scores.update(restored, batch.sharp)
        self.blur_scores.update(batch.blur, batch.sharp)
        levels = (decode(restored).float() - decode(batch.blur).float()).abs().mean()
        self.log("val/change", levels, batch_size=len(restored), sync_dist=True)  # 8-bit levels
        return {"restored": restored}

    def on_validation_epoch_end(self) -> None:
        """Log the means over all validation images."""
        for prefix, metric in (("val/", self.scores), ("val/blur_", self.blur_scores)):
            for name, value in metric.compute().items():
                self.log(prefix + name, value, prog_bar=name == "psnr")
            metric.reset()

    def configure_optimizers(self) -> list[Optimizer]:
        """Give each network its optimizer."""
        return [
            self.optimizer(self.generator.parameters(), lr=self.lr),
            self.optimizer(self.discriminator.parameters(), lr=self.discriminator_lr),
        ]

    def on_train_epoch_start(self) -> None:
        """Set the learning rates: a function of the epoch, so there is no state to restore."""
        left = (self.trainer.max_epochs or 0) - self.current_epoch
        factor = min(1.0, left / self.decay_epochs) if self.decay_epochs else 1.0
        for optimizer, lr in zip(self.trainer.optimizers, (self.lr, self.discriminator_lr)):
            for group in optimizer.param_groups:
                group["lr"] = lr * factor

    def _seed_step(self, batch_idx: int) -> None:
        place = (self.seed, self.current_epoch, batch_idx, self.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))

    def _descend(self, optimizer: LightningOptimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    def _adversarial_share(self, losses: dict[str, Tensor]) -> Tensor:
        """Give |a| / (|a| + |c|), a and c the generator's adversarial and content gradients."""
        content = {name: loss for name, loss in losses.items() if name != "adversarial"}
        norms = [
            self._gradient_norm(self.total(part))
            for part in ({"adversarial": losses["adversarial"]}, content)
            if part
        ]
        return norms[0] / torch.stack(norms).sum().clamp(min=torch.finfo(torch.float32).tiny)

    def _gradient_norm(self, loss: Tensor) -> Tensor:
        parameters = [*self.generator.parameters()]
        gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        present = [gradient for gradient in gradients if gradient is not None]
        norm: Any = torch.linalg.vector_norm(torch.stack([g.float().norm() for g in present]))
        return torch.as_tensor(norm)
