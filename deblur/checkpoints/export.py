"""Generators for other runtimes: ONNX, and PyTorch's exported programs."""

import json
from importlib import import_module
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config

from deblur.checkpoints.generator_file import Generator
from deblur.checkpoints.opset import NEWER, lower
from deblur.extras import check_versions, install_command

AXES = {0: "batch", 2: "height", 3: "width"}
"""Of (N, 3, H, W), those that a traced graph leaves open."""
ValueRange = Literal["zero-one", "minus-one-one"]
"""Of an exported graph's input and output: [0, 1], as other programs have it, or [-1, 1]."""


class Exported(nn.Module):
    """A generator as other programs call it: values in [0, 1], float32 whatever it computes in."""

    def __init__(self, network: nn.Module, *, unit: bool, half: bool) -> None:
        super().__init__()
        self.network = network.half() if half else network
        self.unit, self.half_precision = unit, half
        self.stride = int(getattr(network, "stride", 0))

    def forward(self, blur: Tensor) -> Tensor:
        """Restore (N, 3, H, W)."""
        blur = blur * 2 - 1 if self.unit else blur
        restored: Tensor = self.network(blur.half() if self.half_precision else blur).float()
        return (restored * 0.5 + 0.5).clamp(0, 1) if self.unit else restored


def export_onnx(
    path: Path,
    generator: Generator,
    *,
    value_range: ValueRange = "zero-one",
    half: bool = False,
) -> None:
    """Write a generator as one ONNX file, which onnxruntime and others run without PyTorch.

    It takes `blur` and returns `restored`, (N, 3, H, W), float32 RGB, of any N, H and W: padding
    and cropping are in the graph. Its metadata hold what `save_generator` writes, and the range.
    Weights above 1.5 GB, near the most that an ONNX file can hold, are put beside it.

    Args:
        value_range: of input and output; in [0, 1] the output is clipped.
        half: weights and arithmetic in float16: half the size. The generator's network is
            converted in place.

    Raises ImportError where onnx or onnxscript is missing or too old.
    """
    for package in ("onnx", "onnxscript"):
        try:
            import_module(package)
        except ImportError as error:
            raise ImportError(
                f"ONNX requires {package}: {install_command('export')} ({error})"
            ) from error
    check_versions("export")  # by onnxscript 0.7.0 some graphs gave other pictures
    unit = value_range == "zero-one"
    exported = torch.onnx.export(
        _trace(Exported(generator.network, unit=unit, half=half)),
        dynamo=True,
        opset_version=NEWER,
        input_names=["blur"],
        output_names=["restored"],
        dynamic_shapes={"blur": AXES},
        verbose=False,
    )
    assert exported is not None
    model = exported.model
    lower(model)
    model.graph.outputs[0].shape = model.graph.inputs[0].shape
    precision = "float16" if half else "float32"
    told = _describe(generator, "[0, 1]" if unit else "[-1, 1]")
    model.metadata_props.update(told | {"precision": precision})
    exported.save(path)


def export_program(path: Path, generator: Generator) -> None:
    """Write a generator as a .pt2 file, which `torch.export.load` reads without this package.

    Its module maps (N, 3, H, W), float32 RGB in [-1, 1], of any N, H and W, to the same shape, on
    the CPU (torch.export.passes.move_to_device_pass takes it elsewhere). generator.json among its
    extra files holds what `export_onnx` has as metadata.
    """
    program = _trace(generator.network)
    torch.export.save(
        program, path, extra_files={"generator.json": json.dumps(_describe(generator, "[-1, 1]"))}
    )


def _trace(network: nn.Module) -> ExportedProgram:
    """Trace a network for images of any number and size."""
    # Otherwise what happens to be true of the size it is traced with, such as sides longer than
    # one or not a multiple of the stride, is demanded of every image; torch.onnx sets it too.
    with _config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
        # Larger than the stride, or a size of one at a low resolution would be taken for a rule.
        height, width = (side + int(getattr(network, "stride", 0)) for side in (44, 53))
        program = torch.export.export(
            network,
            (torch.zeros(2, 3, height, width),),
            dynamic_shapes=({axis: Dim.DYNAMIC for axis in AXES},),
        )
    for node in program.graph.nodes:
        # It would name files of the machine that exports.
        node.meta.pop("stack_trace", None)
    return program


def _describe(generator: Generator, values: str) -> dict[str, str]:
    """Describe for a file's reader a generator and the range of its values, as strings."""
    told = generator._asdict()
    del told["network"]
    told["generator"] = told.pop("config")
    return {"range": values, **{name: json.dumps(value) for name, value in told.items()}}
