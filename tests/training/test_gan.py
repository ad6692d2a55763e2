import math
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn
from torch.utils.data import DataLoader

from deblur.losses.adversarial import LeastSquares, Minimax, RelativisticLS, WassersteinGP
from deblur.losses.content import Charbonnier, halve
from deblur.networks import DenseDiscriminator, DoubleDiscriminator, ResNet
from deblur.pair import Pair
from deblur.training.gan import DeblurGAN
from deblur.training.optimizers.lars import LARS
from deblur.training.schedule import Schedule


def gan(kind: type[DeblurGAN] = DeblurGAN, **changes: Any) -> DeblurGAN:
    arguments: dict[str, Any] = {
        "generator": ResNet(blocks=1, width=4, dropout=0.5),
        "discriminator": DenseDiscriminator(crop=16, width=4),
        "adversarial": Minimax(),
        "content": {"charbonnier": Charbonnier()},
        "weights": {"charbonnier": 1.0, "adversarial": 0.1},
        "optimizer": torch.optim.SGD,
        "lr": 0.1,
        "seed": 0,
    }
    return kind(**{**arguments, **changes})


def batches(count: int) -> DataLoader[Pair]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2 * count, 2, 3, 16, 16, generator=generator) * 2 - 1
    pairs = [Pair(images[i, 0], images[i, 1], str(i)) for i in range(2 * count)]
    return DataLoader(pairs, batch_size=2)  # type: ignore[arg-type]


def fit(module: DeblurGAN, count: int = 1, epochs: int = 1, **trainer: Any) -> L.Trainer:
    run = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **trainer,
    )
    run.fit(module, batches(count))
    return run


def weights(network: nn.Module) -> list[Tensor]:
    return [value.detach().clone() for value in network.parameters()]


def moved(network: nn.Module, before: list[Tensor]) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(weights(network), before, strict=True))


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, LARS])
def test_one_step_moves_both_networks(optimizer: Any) -> None:
    module = gan(optimizer=optimizer)
    before = weights(module.generator), weights(module.discriminator)
    fit(module)
    assert moved(module.generator, before[0])
    assert moved(module.discriminator, before[1])


def test_each_turn_moves_its_own_network_alone() -> None:
    class Recorder:
        """Notes whose gradients are wanted while each loss is computed."""

        def generator_loss(self, discriminator: Any, restored: Tensor, sharp: Tensor) -> Tensor:
            wanted.append([any(p.requires_grad for p in n.parameters()) for n in networks])
            return Minimax().generator_loss(discriminator, restored, sharp)

        def discriminator_loss(self, discriminator: Any, restored: Tensor, sharp: Tensor) -> Any:
            assert not restored.requires_grad
            wanted.append([any(p.requires_grad for p in n.parameters()) for n in networks])
            return Minimax().discriminator_loss(discriminator, restored, sharp)

    wanted: list[list[bool]] = []
    module = gan(adversarial=Recorder(), discriminator_steps=2)
    networks = (module.generator, module.discriminator)
    fit(module)
    assert wanted == [[False, True], [False, True], [True, False]]
    assert all(p.requires_grad for p in module.parameters())


def test_the_generators_step_is_that_of_the_weighted_sum() -> None:
    module = gan(generator=ResNet(blocks=1, width=4, dropout=0), lr=0.1, discriminator_lr=1e-30)
    reference = gan(generator=ResNet(blocks=1, width=4, dropout=0))
    reference.load_state_dict(module.state_dict())
    pair = next(iter(batches(1)))
    restored = reference.generator(pair.blur)
    loss = Charbonnier()(restored, pair.sharp) + 0.1 * Minimax().generator_loss(
        reference.discriminator, restored, pair.sharp
    )
    loss.backward()
    fit(module)
    for value, old in zip(module.generator.parameters(), reference.generator.parameters()):
        assert old.grad is not None
        assert torch.allclose(value, old - 0.1 * old.grad, atol=1e-6)


def test_weights_must_name_the_losses() -> None:
    for wrong in ({"charbonnier": 1.0}, {"charbonnier": 1.0, "adversarial": 1.0, "tv": 1.0}):
        with pytest.raises(ValueError, match="weights.*'adversarial', 'charbonnier'"):
            gan(weights=wrong)
    with pytest.raises(ValueError, match="every"):
        gan(every={"tv": 2})


def test_a_rare_loss_weighs_as_much_in_the_long_run() -> None:
    module = gan(every={"charbonnier": 4})
    restored, pair = torch.zeros(2, 3, 16, 16), next(iter(batches(1)))
    due = [name for i in range(8) for name in module.losses.generator_losses(pair, [restored], i)]
    assert due.count("charbonnier") == 2
    assert due.count("adversarial") == 8
    assert module.losses.total({"charbonnier": torch.tensor(3.0)}).item() == 12.0


def scaled() -> dict[str, Any]:
    """Give what makes a trainer scale losses by 1024, as float16 wants it."""
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    return {"plugins": [MixedPrecision("16-mixed", "cpu", scaler=scaler)]}


@pytest.mark.parametrize("precision", [dict, scaled])
def test_gradients_are_clipped_when_their_scale_is_undone(precision: Any) -> None:
    norms: dict[str, list[float]] = {"before": [], "after": []}

    def measure(optimizer: torch.optim.Optimizer) -> float:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"]]
        return torch.cat([g.flatten() for g in gradients]).norm().item()

    class Watched(DeblurGAN):
        def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
            norms["before"].append(measure(optimizer))
            super().on_before_optimizer_step(optimizer)
            norms["after"].append(measure(optimizer))

    module = gan(kind=Watched, weights={"charbonnier": 1.0, "adversarial": 1.0}, clip_norm=1e-3)
    fit(module, **precision())
    assert norms["after"] == pytest.approx([1e-3, 1e-3], rel=1e-4)
    assert all(0.01 < norm < 10 for norm in norms["before"])  # a thousandth of the scaled ones


@pytest.mark.parametrize("objective", [Minimax(), RelativisticLS(maps=2)])
@pytest.mark.parametrize("precision", [dict, scaled])
def test_a_batch_that_is_not_finite_changes_nothing(objective: Any, precision: Any) -> None:
    module = gan(
        generator=ResNet(blocks=1, width=4, dropout=0.0, norm="batch"),
        discriminator=DoubleDiscriminator(width=2),
        adversarial=objective,
        average=0.5,
    )
    fit(module, count=2)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    said = []

    class Spoil(L.Callback):
        def on_train_batch_start(
            self, trainer: L.Trainer, module: Any, batch: Pair, index: int
        ) -> None:
            batch.blur[0, 0, 0, 0] = torch.inf

        def on_train_batch_end(
            self, trainer: L.Trainer, module: Any, outputs: Any, batch: Pair, index: int
        ) -> None:
            said.append(float(outputs["skipped"]))
            assert all(p.grad is None for p in module.parameters())

    fit(module, callbacks=[Spoil()], **precision())
    assert len(said) == 1 and not math.isfinite(said[0])
    after = module.state_dict()
    assert all(torch.equal(after[n].nan_to_num(7), before[n].nan_to_num(7)) for n in before)


def test_finite_losses_with_gradients_that_are_not_are_skipped_too() -> None:
    class Steep(nn.Module):
        def forward(self, restored: Tensor, sharp: Tensor) -> Tensor:
            return (restored - restored.detach()).square().sum().sqrt()  # 0, its gradient NaN

    module = gan(
        content={"steep": Steep()},
        weights={"steep": 1.0},
        **{"discriminator": None, "adversarial": None},
    )
    before = weights(module.generator)
    fit(module)
    assert not moved(module.generator, before)


def test_the_average_follows_the_generator_and_is_what_is_validated() -> None:
    module = gan(average=0.75, generator=ResNet(blocks=1, width=4, dropout=0.0))
    seen: list[list[Tensor]] = []
    restored: list[Tensor] = []

    class Watch(L.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            seen.append(weights(module.generator))

        def on_validation_batch_end(self, _: Any, __: Any, outputs: Any, *___: Any) -> None:
            restored.append(outputs["restored"])

    trainer = fit(module, count=3, callbacks=[Watch()])
    assert module.average is not None
    for found, *steps in zip(module.average.module.parameters(), *seen, strict=True):
        first, second, third = steps
        expected = 0.75 * (0.75 * first + 0.25 * second) + 0.25 * third
        assert torch.allclose(found, expected, atol=1e-6)
        assert not found.requires_grad
    trainer.validate(module, batches(1), verbose=False)
    blur = next(iter(batches(1))).blur
    module.eval()
    assert torch.equal(restored[0], module.average(blur))
    assert not torch.equal(restored[0], module.generator(blur))
    with pytest.raises(ValueError, match="average"):
        gan(average=1.0)


def test_the_learning_rate_is_constant_then_falls_linearly_to_zero() -> None:
    rates = []

    class Watch(L.Callback):
        def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
            rates.append([o.param_groups[0]["lr"] for o in trainer.optimizers])

    fit(gan(lr=0.4, schedule=Schedule(decay_epochs=4)), epochs=6, callbacks=[Watch()])
    assert [rate for rate, _ in rates] == pytest.approx([0.4, 0.4, 0.4, 0.3, 0.2, 0.1])
    assert all(g == d for g, d in rates)


def test_dropout_depends_on_seed_and_step_and_not_on_the_global_generator() -> None:
    outcomes = []
    start = gan().state_dict()
    for seed, global_seed in ((0, 1), (0, 2), (5, 1)):
        module = gan(seed=seed)
        module.load_state_dict(start)
        torch.manual_seed(global_seed)
        fit(module, count=2)
        outcomes.append(torch.cat([p.flatten() for p in module.generator.parameters()]))
    assert torch.equal(outcomes[0], outcomes[1])
    assert not torch.equal(outcomes[0], outcomes[2])


def test_the_adversarial_share_of_the_gradient() -> None:
    module = gan()
    parameter = next(module.generator.parameters())
    losses = {"adversarial": 30 * parameter.sum(), "charbonnier": 9 * parameter.sum()}
    # Weighted by 0.1 and 1: gradients of 3 and 9, a quarter of the sum of their norms.
    assert module._adversarial_share(losses).item() == pytest.approx(0.25)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="^lr "):
        gan(lr=0.0)


def test_content_losses_alone_train_the_generator() -> None:
    module = gan(discriminator=None, adversarial=None, weights={"charbonnier": 1.0})
    before = weights(module.generator)
    trainer = fit(module, count=2)
    assert moved(module.generator, before) and len(trainer.optimizers) == 1
    assert "train/charbonnier" in trainer.callback_metrics
    assert not any("adversarial" in name for name in trainer.callback_metrics)


@pytest.mark.parametrize("objective", [WassersteinGP(), LeastSquares(), RelativisticLS(maps=2)])
def test_every_objective_trains_both(objective: Any) -> None:
    module = gan(adversarial=objective, discriminator=DoubleDiscriminator(width=2))
    before = weights(module.generator), weights(module.discriminator)
    fit(module, count=2)
    assert moved(module.generator, before[0]) and moved(module.discriminator, before[1])
    assert all(torch.isfinite(value).all() for value in weights(module))


def test_one_pass_of_the_discriminator_changes_what_batch_norm_sees_alone() -> None:
    def trained(norm: bool, one_pass: bool) -> Tensor:
        torch.manual_seed(0)
        changes = {} if norm else {"discriminator": DoubleDiscriminator(width=2)}
        module = gan(**changes, adversarial=LeastSquares(), one_pass=one_pass)
        fit(module, count=3)
        return torch.cat([value.flatten() for value in weights(module)])

    assert torch.allclose(trained(False, False), trained(False, True), atol=1e-5)
    assert not torch.allclose(trained(True, False), trained(True, True), atol=1e-5)


def test_what_is_computed_again_trains_alike() -> None:
    def trained(recompute: bool) -> dict[str, Tensor]:
        torch.manual_seed(0)
        module = gan(generator=ResNet(blocks=2, width=4, dropout=0.5), recompute=recompute)
        fit(module, count=3, log_every_n_steps=1)  # whose adversarial share asks twice
        return module.state_dict()

    usual, again = trained(False), trained(True)
    assert all(torch.equal(usual[key], again[key]) for key in usual)


def test_a_relativistic_history_is_in_the_checkpoint() -> None:
    module = gan(adversarial=RelativisticLS(maps=2), discriminator=DoubleDiscriminator(width=2))
    fit(module, count=2)
    recent = module.state_dict()["adversarial.recent"]
    assert recent.shape == (2, 2, 50) and int(recent.isfinite().sum()) == 2 * 2 * 4


class Pyramid(nn.Module):
    """Restores at two scales."""

    def __init__(self) -> None:
        super().__init__()
        self.coarse, self.fine = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def pyramid(self, blur: Tensor) -> list[Tensor]:
        return [self.coarse(halve(blur)), self.fine(blur)]

    def forward(self, blur: Tensor) -> Tensor:
        return self.pyramid(blur)[-1]


def test_a_generator_with_scales_learns_at_each() -> None:
    network = Pyramid()
    module = gan(
        generator=network,
        **{"discriminator": None, "adversarial": None, "weights": {"charbonnier": 1.0}},
    )
    before = weights(network.coarse)
    fit(module, count=1)
    assert moved(network.coarse, before)
    pair = Pair(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), "")
    scales = module.losses.restore(pair.blur)
    expected = (
        Charbonnier()(scales[0], halve(pair.sharp)) + Charbonnier()(scales[1], pair.sharp)
    ) / 2
    assert torch.equal(module.losses.generator_losses(pair, scales)["charbonnier"], expected)


def test_an_objective_and_a_discriminator_must_both_be_set() -> None:
    with pytest.raises(ValueError, match="adversarial and discriminator"):
        gan(discriminator=None)
    with pytest.raises(ValueError, match="every"):
        gan(
            **{"discriminator": None, "adversarial": None, "weights": {"charbonnier": 1.0}},
            every={"charbonnier": 2},
        )


@pytest.mark.parametrize(
    "decay, to, expected",
    [
        ("linear", 0.0, [1, 1, 2 / 3, 1 / 3]),
        ("cosine", 0.0, [1, 1, 3 / 4, 1 / 4]),
        ("linear", 0.25, [1, 1, 3 / 4, 1 / 2]),
    ],
)
def test_the_rate_falls(decay: Any, to: float, expected: list[float]) -> None:
    rates = []

    class Note(L.Callback):
        def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"] / 0.1)

    fit(
        gan(schedule=Schedule(decay_epochs=3, decay=decay, decay_to=to)),
        epochs=4,
        callbacks=[Note()],
    )
    assert rates == pytest.approx(expected)


class WithBackbone(nn.Module):
    """Has a part that can be frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def freeze_backbone(self, frozen: bool) -> None:
        self.backbone.requires_grad_(not frozen)

    def forward(self, blur: Tensor) -> Tensor:
        restored: Tensor = self.head(self.backbone(blur))
        return restored


def test_a_backbone_is_frozen_in_the_first_epochs() -> None:
    for epochs, expected in ((1, False), (2, True)):
        module = gan(generator=WithBackbone(), schedule=Schedule(freeze_epochs=1))
        network: Any = module.generator
        before = weights(network.backbone), weights(network.head)
        fit(module, epochs=epochs)
        assert moved(network.backbone, before[0]) == expected and moved(network.head, before[1])
    with pytest.raises(ValueError, match="ResNet has no backbone"):
        gan(schedule=Schedule(freeze_epochs=1))


@pytest.mark.parametrize(
    "bad, key",
    [
        ({"discriminator_lr": 0.0}, "discriminator_lr"),
        ({"clip_norm": -1.0}, "clip_norm"),
        ({"discriminator_steps": 0}, "discriminator_steps"),
        ({"every": {"charbonnier": 0}}, "every.charbonnier"),
        ({"lr": float("nan")}, "lr"),
    ],
)
def test_numbers_of_the_wrong_sign_are_refused_by_name(bad: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=f"^{key} "):
        gan(**bad)


def test_the_snapshot_of_a_step_holds_no_frozen_network() -> None:
    class Frozen(Charbonnier):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("large", torch.zeros(1000))

    norms = ResNet(blocks=1, width=4, dropout=0.0, norm="batch")
    module = gan(
        generator=norms,
        discriminator=DoubleDiscriminator(width=2),
        adversarial=RelativisticLS(maps=2),
        content={"charbonnier": Frozen()},
        average=0.5,
    )
    kept = {id(value) for value in module._statistics()}
    assert {id(value) for value in norms.buffers()} < kept
    assert id(module.adversarial.recent) in kept
    assert id(module.content["charbonnier"].large) not in kept
