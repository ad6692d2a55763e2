"""Files as other projects published them, by name and shape, with seeded values."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

State = dict[str, Tensor]


def values(shapes: Mapping[str, tuple[int, ...]], scale: float = 0.7) -> State:
    """Fill shapes with values that keep features alive: variances positive, weights by fan-in."""
    generator = torch.Generator().manual_seed(0)
    state: State = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif "var" in name:
            state[name] = noise.abs() + 0.5
        elif len(shape) == 4:
            state[name] = noise * scale * (2 / noise[0].numel()) ** 0.5
        else:
            state[name] = noise * 0.1 + float(name.endswith("weight"))
    return state


def statistics(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    """Give a norm's running statistics."""
    return {
        f"{name}.running_mean": (channels,),
        f"{name}.running_var": (channels,),
        f"{name}.num_batches_tracked": (),
    }


def deblurgan(
    blocks: int = 2, width: int = 8, norm: str = "instance", tracked: bool = True, second: int = 6
) -> State:
    """DeblurGAN's latest_net_G.pth; second: the place of a block's second convolution, or none."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, shape: tuple[int, ...], bias: int, last: bool = False) -> None:
        shapes[f"{name}.weight"] = shape
        if norm == "instance" or last:
            shapes[f"{name}.bias"] = (bias,)

    def normalize(name: str, channels: int) -> None:
        if norm == "batch":
            shapes.update({f"{name}.weight": (channels,), f"{name}.bias": (channels,)})
        if norm == "batch" or tracked:
            shapes.update(statistics(name, channels))

    w = width
    conv("model.1", (w, 3, 7, 7), w)
    normalize("model.2", w)
    for place, inputs in ((4, w), (7, 2 * w)):
        conv(f"model.{place}", (2 * inputs, inputs, 3, 3), 2 * inputs)
        normalize(f"model.{place + 1}", 2 * inputs)
    for block in range(10, 10 + blocks):
        for place in (1, second) if second else (1,):
            conv(f"model.{block}.conv_block.{place}", (4 * w, 4 * w, 3, 3), 4 * w)
            normalize(f"model.{block}.conv_block.{place + 1}", 4 * w)
    up = 10 + blocks
    for place, inputs in ((up, 4 * w), (up + 3, 2 * w)):
        conv(f"model.{place}", (inputs, inputs // 2, 3, 3), inputs // 2)
        normalize(f"model.{place + 1}", inputs // 2)
    conv(f"model.{up + 7}", (3, w, 7, 7), 3, last=True)
    return values(shapes)


def mobilenet() -> dict[str, tuple[int, ...]]:
    """MobileNetV2's features as DeblurGAN-v2 names them, without their prefix."""
    shapes: dict[str, tuple[int, ...]] = {}

    def unit(name: str, place: int, shape: tuple[int, ...]) -> None:
        shapes[f"{name}.{place}.weight"] = shape
        norm = f"{name}.{place + 1}"
        shapes.update({f"{norm}.weight": shape[:1], f"{norm}.bias": shape[:1]})
        shapes.update(statistics(norm, shape[0]))

    unit("0", 0, (32, 3, 3, 3))
    inputs, index = 32, 1
    settings = (
        (1, 16, 1),
        (6, 24, 2),
        (6, 32, 3),
        (6, 64, 4),
        (6, 96, 3),
        (6, 160, 3),
        (6, 320, 1),
    )
    for times, outputs, count in settings:
        for _ in range(count):
            inside, name = inputs * times, f"{index}.conv"
            if times > 1:
                unit(name, 0, (inside, inputs, 1, 1))
            first = 3 if times > 1 else 0
            unit(name, first, (inside, 1, 3, 3))
            unit(name, first + 3, (outputs, inside, 1, 1))
            inputs, index = outputs, index + 1
    unit("18", 0, (1280, 320, 1, 1))
    return shapes


def inception() -> dict[str, tuple[int, ...]]:
    """InceptionResNetV2 as Cadene names it, with its 1000 classes."""
    shapes: dict[str, tuple[int, ...]] = {}

    def unit(name: str, outputs: int, inputs: int, kernel: tuple[int, int]) -> None:
        shapes[f"{name}.conv.weight"] = (outputs, inputs, *kernel)
        shapes.update({f"{name}.bn.weight": (outputs,), f"{name}.bn.bias": (outputs,)})
        shapes.update(statistics(f"{name}.bn", outputs))

    def branch(name: str, inputs: int, *layers: tuple[int, tuple[int, int]]) -> None:
        for index, (outputs, kernel) in enumerate(layers):
            unit(name if len(layers) == 1 else f"{name}.{index}", outputs, inputs, kernel)
            inputs = outputs

    def residual(name: str, inside: int, channels: int) -> None:
        shapes[f"{name}.conv2d.weight"] = (channels, inside, 1, 1)
        shapes[f"{name}.conv2d.bias"] = (channels,)

    one, three, five = (1, 1), (3, 3), (5, 5)
    unit("conv2d_1a", 32, 3, three)
    unit("conv2d_2a", 32, 32, three)
    unit("conv2d_2b", 64, 32, three)
    unit("conv2d_3b", 80, 64, one)
    unit("conv2d_4a", 192, 80, three)
    branch("mixed_5b.branch0", 192, (96, one))
    branch("mixed_5b.branch1", 192, (48, one), (64, five))
    branch("mixed_5b.branch2", 192, (64, one), (96, three), (96, three))
    unit("mixed_5b.branch3.1", 64, 192, one)
    for index in range(10):
        name = f"repeat.{index}"
        branch(f"{name}.branch0", 320, (32, one))
        branch(f"{name}.branch1", 320, (32, one), (32, three))
        branch(f"{name}.branch2", 320, (32, one), (48, three), (64, three))
        residual(name, 128, 320)
    branch("mixed_6a.branch0", 320, (384, three))
    branch("mixed_6a.branch1", 320, (256, one), (256, three), (384, three))
    for index in range(20):
        name = f"repeat_1.{index}"
        branch(f"{name}.branch0", 1088, (192, one))
        branch(f"{name}.branch1", 1088, (128, one), (160, (1, 7)), (192, (7, 1)))
        residual(name, 384, 1088)
    branch("mixed_7a.branch0", 1088, (256, one), (384, three))
    branch("mixed_7a.branch1", 1088, (256, one), (288, three))
    branch("mixed_7a.branch2", 1088, (256, one), (288, three), (320, three))
    for name in (*(f"repeat_2.{index}" for index in range(9)), "block8"):
        branch(f"{name}.branch0", 2080, (192, one))
        branch(f"{name}.branch1", 2080, (192, one), (224, (1, 3)), (256, (3, 1)))
        residual(name, 448, 2080)
    unit("conv2d_7b", 1536, 2080, one)
    shapes.update({"last_linear.weight": (1000, 1536), "last_linear.bias": (1000,)})
    return shapes


CHANNELS = {"mobilenet": (16, 24, 32, 64, 160), "inception": (32, 64, 192, 1088, 2080)}
STAGES = {
    "mobilenet": [
        ("features", [f"{feature}" for feature in range(first, end)])
        for first, end in ((0, 2), (2, 4), (4, 7), (7, 11), (11, 16))
    ],
    "inception": [
        ("inception", names)
        for names in (
            ["conv2d_1a"],
            ["conv2d_2a", "conv2d_2b"],
            ["conv2d_3b", "conv2d_4a"],
            ["mixed_5b", "repeat", "mixed_6a"],
            ["repeat_1", "mixed_7a"],
        )
    ],
}


def deblurgan_v2(backbone: str) -> State:
    """DeblurGAN-v2's fpn_*.h5, below its entry "model": each tensor of the backbone twice."""
    known = mobilenet() if backbone == "mobilenet" else inception()
    prefix = f"module.fpn.{STAGES[backbone][0][0]}."
    state = values({f"{prefix}{name}": shape for name, shape in known.items()})
    for stage, (_, parts) in enumerate(STAGES[backbone]):
        for place, part in enumerate(parts):
            # A stage of a single unit is that unit.
            home = f"module.fpn.enc{stage}." + (f"{place}." if len(parts) > 1 else "")
            for name in known:
                if name.startswith(f"{part}."):
                    state[home + name.removeprefix(f"{part}.")] = state[prefix + name]
    width = 128 if backbone == "mobilenet" else 256
    half = width // 2
    shapes: dict[str, tuple[int, ...]] = {}

    def smooth(name: str, outputs: int, inputs: int) -> None:
        shapes.update({f"{name}.0.weight": (outputs, inputs, 3, 3), f"{name}.0.bias": (outputs,)})
        shapes.update(statistics(f"{name}.1", outputs))

    for step in (1, 2, 3):
        smooth(f"module.fpn.td{step}", width, width)
    for level, channels in enumerate(CHANNELS[backbone]):
        outputs = width if level else half
        shapes[f"module.fpn.lateral{level}.weight"] = (outputs, channels, 1, 1)
    for head in (1, 2, 3, 4):
        shapes[f"module.head{head}.block0.weight"] = (half, width, 3, 3)
        shapes[f"module.head{head}.block1.weight"] = (half, half, 3, 3)
    smooth("module.smooth", half, 4 * half)
    smooth("module.smooth2", half // 2, half)
    shapes["module.final.weight"] = (3, half // 2, 3, 3)
    shapes["module.final.bias"] = (3,)
    return {**state, **values(shapes)}


def keras(path: Path, blocks: int = 2, width: int = 8, whole: bool = False, **names: str) -> State:
    """Write deblur-gan's generator.h5; give the values by their Keras names, kernels HWIO."""
    import h5py

    w = width
    sizes = [(7, 3, w), (3, w, 2 * w), (3, 2 * w, 4 * w), *[(3, 4 * w, 4 * w)] * (2 * blocks)]
    sizes += [(3, 4 * w, 2 * w), (3, 2 * w, w), (7, w, 3)]
    generator = torch.Generator().manual_seed(0)
    layers: list[tuple[str, State]] = [("input_1", {}), ("reflection_padding2d_1", {})]
    for index, (side, inputs, outputs) in enumerate(sizes, 1):
        scale = (1 / (side * side * inputs)) ** 0.5
        kernel = torch.randn(side, side, inputs, outputs, generator=generator) * scale
        bias = torch.randn(outputs, generator=generator) * 0.1
        layers.append((f"{names.get('conv', 'conv2d')}_{index}", {"kernel": kernel, "bias": bias}))
        if index < len(sizes):
            noise = torch.randn(4, outputs, generator=generator)
            norm = {"gamma": 1 + 0.1 * noise[0], "beta": 0.1 * noise[1]}
            norm |= {"moving_mean": 0.1 * noise[2], "moving_variance": noise[3].abs() + 0.5}
            layers.append((f"batch_normalization_{index}", norm))
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        root.attrs["layer_names"] = [name.encode() for name, _ in layers]
        for name, state in layers:
            group = root.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in state]
            for key, value in state.items():
                group[f"{name}/{key}:0"] = value.numpy()
    return {f"{name}/{key}": value for name, state in layers for key, value in state.items()}
