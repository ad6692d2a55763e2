"""A network fine-tuned for a short time on a video's own sharp frames, blurred as its others are.

Both show the same things under the same light and sensor, so that what a network learns from the
sharp frames holds for the blurred ones. Crops of frames that are held out decide whether the
adapted weights are used, the original ones, or the mean of the two (Wortsman et al., Robust
fine-tuning of zero-shot models, CVPR 2022, arXiv 2109.01903).
"""

import math
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from deblur.blur.camera import Camera
from deblur.blur.measured import MeasuredBlur
from deblur.checkpoints.interpolation import mix
from deblur.hardware import place
from deblur.inference import name_arithmetic
from deblur.losses import Charbonnier, FrequencyL1
from deblur.pair import encode, quantize
from deblur.restoration.progress import Adapting
from deblur.restoration.restorer import Restorer
from deblur.restoration.survey import Survey, survey

CROP, SMALLEST = 128, 32
"""The side of a crop, in pixels, and the least one where frames are small."""
BATCH = 4
HELD_OUT = 3
"""One in this many sharp frames is held out; at least this many are required."""
CHECKS = 16
"""The number of held-out crops."""
RATE, CLIP_NORM = 2e-4, 0.5
WARM_UP, FEWEST = 10, 20
"""The number of steps in which the rate rises, and the fewest steps that teach anything."""
DECAY = 0.95
"""The decay of the running average of the weights, per step."""
FREQUENCY = 0.1
"""The weight of `FrequencyL1` beside `Charbonnier`."""
SHARES = (0.5, 1.0)
"""The shares of the adapted weights that are compared on held-out crops, besides 0."""
LEAST = 0.15
"""The least gain on held-out crops, in dB: with less, the blurred frames may lose (0.1 to 0.2 dB
after a few steps)."""
SEEN = 1e-4
"""The lowest mean squared error that counts, 40 dB; crops without blur would outweigh others."""
CANDIDATES = 4
"""The number of places of which the most detailed one becomes a crop."""
SHOT = 3.9
"""The variance of white's shot noise in linear light, relative to mid-grey's in sRGB."""
STRIDE = 16
"""The number of pixels of which crops' sides are multiples, as the levels of networks require."""

Pixels = NDArray[np.uint8]


class NotAdaptedError(Exception):
    """A network was not adapted to a video; the message says why."""


class Adapted(NamedTuple):
    """An adapted network."""

    network: nn.Module
    """The network in evaluation mode, without ranges for 8-bit integers."""
    gain: float
    """The mean gain on held-out crops, in dB."""
    share: float
    """The share of the adapted weights; the rest are the original ones."""
    steps: int
    frames: int
    """The number of sharp frames, those held out included."""
    seconds: float

    def describe(self) -> str:
        """Return what was done, and what it gained."""
        mean = ", the mean of adapted and original weights" if self.share < 1 else ""
        return (
            f"adapted to {self.frames} sharp frames in {self.seconds:.0f} s, {self.steps} steps"
            f"{mean}: {self.gain:+.2f} dB on held-out crops"
        )


def adapt_restorer(
    restorer: Restorer,
    generator: nn.Module,
    path: Path,
    *,
    seconds: float,
    most: int | None = None,
    watch: Callable[[Adapting], None] = lambda progress: None,
) -> tuple[Restorer, list[str]]:
    """Adapt a restorer to a video.

    generator: the restorer's, as it was loaded. seconds, most, watch: see `adapt_to`. Returns the
    adapted restorer, and a note on what was done. Raises NotAdaptedError, and what `survey` raises.
    """
    swift = "bfloat16" in name_arithmetic(restorer.network)
    adapted = adapt_to(
        generator,
        survey(path),
        restorer.tiles.device,
        seconds=seconds,
        most=most,
        dtype=torch.bfloat16 if swift else torch.float32,
        watch=watch,
    )
    return restorer.renew(adapted.network), [adapted.describe()]


def adapt_to(
    generator: nn.Module,
    found: Survey,
    device: torch.device,
    *,
    seconds: float,
    most: int | None = None,
    dtype: torch.dtype = torch.float32,
    watch: Callable[[Adapting], None] = lambda progress: None,
    clock: Callable[[], float] = time.monotonic,
) -> Adapted:
    """Fine-tune a copy of a generator on what was found in a video.

    Args:
        generator: Maps (N, 3, H, W) to the same, in [-1, 1]; it stays as it is.
        found: The video's sharp frames, and how its blurred ones are smeared.
        device: The device to train on.
        seconds: The time for all steps; the last one may exceed it.
        most: The most steps; None for as many as there is time for.
        dtype: The type of the arithmetic, float32 or bfloat16.
        watch: Called at the start and after each step.
        clock: Returns seconds.

    Raises:
        NotAdaptedError: There is nothing to learn from or too little time, or the adapted network
            is not better on held-out crops.
    """
    if not found.smears:
        raise NotAdaptedError("none of its frames is blurred by motion")
    if len(found.sharp) < HELD_OUT:
        told = f"{len(found.sharp)} of its frames are sharp beyond doubt"
        raise NotAdaptedError(f"{told}, {HELD_OUT} are required")
    start = clock()
    watch(Adapting(0, seconds))
    camera = _imitate(found)
    learned, held_out = hold_out(found.sharp)
    side = find_side([*learned, *held_out], camera.margin)
    network = place(deepcopy(generator).requires_grad_(True), device).eval()
    run = _Run(network, device, dtype)
    checks = draw_pairs(held_out, camera, side, np.random.default_rng(0), CHECKS)
    before = run.score(*checks)
    original = deepcopy(network.state_dict())
    rng, begun, step = np.random.default_rng(1), clock(), 0
    while (done := max((clock() - begun) / seconds, step / most if most else 0.0)) < 1:
        run.learn(done, *draw_pairs(learned, camera, side, rng, BATCH))
        step += 1
        watch(Adapting(min(seconds, clock() - begun), seconds))
    if step < FEWEST:
        raise NotAdaptedError(f"{seconds:.0f} s were enough for {step} steps only, of {FEWEST}")
    adapted = run.average.module.state_dict()
    best, gain = 0.0, LEAST
    for share in SHARES:
        network.load_state_dict(mix(original, adapted, share))
        gains = run.score(*checks) - before
        # A gain that is smaller than its own error may be none.
        if (mean := float(gains.mean())) > max(gain, float(gains.std()) / math.sqrt(len(gains))):
            best, gain = share, mean
    if not best:
        told = f"less than {LEAST} dB on held-out crops"
        raise NotAdaptedError(f"{step} steps on its sharp frames gained {told}")
    network.load_state_dict(mix(original, adapted, best))
    vars(network).pop("ranges", None)  # for 8-bit integers: they belong to the original weights
    network.requires_grad_(False).cpu()
    return Adapted(network, gain, best, step, len(found.sharp), clock() - start)


class _Run:
    """A network in training: its arithmetic, and its losses."""

    def __init__(self, network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        self.network = network
        self.device = device
        self.precision = device.type, dtype, dtype != torch.float32
        self.charbonnier, self.frequency = Charbonnier(), FrequencyL1()
        averaging = get_ema_multi_avg_fn(DECAY)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(network, multi_avg_fn=averaging)
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, betas=(0.9, 0.99))
        self.step = 0

    def learn(self, done: float, blur: Tensor, sharp: Tensor) -> None:
        """Make one step; done: the share of all steps that are done."""
        self.step += 1
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * min(1, self.step / WARM_UP) * (1 + math.cos(math.pi * done)) / 2
        blur, sharp = blur.to(self.device), sharp.to(self.device)
        with torch.autocast(*self.precision):
            restored = self.network(blur)
        loss = self.charbonnier(restored, sharp) + FREQUENCY * self.frequency(restored, sharp)
        self.optimizer.zero_grad()
        loss.backward()
        norm = clip_grad_norm_(self.network.parameters(), CLIP_NORM)
        if norm.isfinite():
            self.optimizer.step()
        self.average.update_parameters(self.network)

    @torch.inference_mode()
    def score(self, blur: Tensor, sharp: Tensor) -> Tensor:
        """Return the PSNR of each restored picture, (N,), in dB."""
        scores = []
        for one, target in zip(blur[:, None], sharp):
            with torch.autocast(*self.precision):
                restored = self.network(one.to(self.device))
            error = (quantize(restored.cpu()) - target).square().mean() / 4
            scores.append(-10 * error.clamp(min=SEEN).log10())
        return torch.stack(scores)


def _imitate(found: Survey) -> Camera:
    """Return a camera whose pictures are blurred, and as noisy, as a video's blurred frames."""
    variance = SHOT * (found.noise / 255) ** 2
    return Camera(
        motion=MeasuredBlur(measured=found.smears),
        shares={"linear": 0.6, "highlights": 0.2, "noise": 1.0, "jpeg": 0.3},
        shot=min(1.0, variance),
        read=0.0,
    )


def hold_out(frames: Sequence[Pixels]) -> tuple[list[Pixels], list[Pixels]]:
    """Split sharp frames into those to learn from, and those that are held out."""
    held = [*range(HELD_OUT // 2, len(frames), HELD_OUT)]
    learned = [frame for place, frame in enumerate(frames) if place not in held]
    return learned, [frames[place] for place in held]


def find_side(frames: Sequence[Pixels], margin: int) -> int:
    """Return the side of crops that fit all frames; raise NotAdaptedError where none does."""
    room = min(min(frame.shape[:2]) for frame in frames) - 2 * margin
    side: int = min(CROP, room // STRIDE * STRIDE)
    if side < SMALLEST:
        raise NotAdaptedError(f"its sharp frames are too small for blur of {2 * margin} pixels")
    return side


def draw_pairs(
    frames: Sequence[Pixels], camera: Camera, side: int, rng: np.random.Generator, count: int
) -> tuple[Tensor, Tensor]:
    """Draw crops of frames, and blur them.

    Returns the blurred and the sharp ones, (count, 3, side, side), in [-1, 1].
    """
    whole = side + 2 * camera.margin
    crops = [_draw_crop(frames[int(rng.integers(len(frames)))], whole, rng) for _ in range(count)]
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()
    blur, sharp = camera(pixels, rng.spawn(count))
    return encode(blur), encode(sharp)


def _draw_crop(frame: Pixels, side: int, rng: np.random.Generator) -> Any:
    """Draw a few places of a frame, and return the most detailed one; half of them mirrored."""
    height, width = frame.shape[:2]
    crops = []
    for _ in range(CANDIDATES):
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
        crops.append(frame[top : top + side, left : left + side])
    detail = [float(np.abs(np.diff(crop[::2, ::2, 1].astype(np.int16))).mean()) for crop in crops]
    return crops[int(np.argmax(detail))][:, :: int(rng.choice((1, -1)))]
