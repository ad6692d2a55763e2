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
"""The axes of (N, 3, H, W) whose sizes a traced graph leaves open."""
ValueRange = Literal["zero-one", "minus-one-one"]
"""The range of an exported graph's input and output: [0, 1], as in other programs, or [-1, 1]."""


class Exported(nn.Module):
    """A generator for other programs: takes and returns float32, in [0, 1] if `unit` is set."""

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

    The graph takes `blur` and returns `restored`, (N, 3, H, W), float32 RGB, of any N, H and W: it
    pads and crops by itself. Its metadata are those of `save_generator`, and the range. Weights
    above 1.5 GB, near the limit of ONNX files, are written to a second file beside it.

    Args:
        path: The file to write.
        generator: The generator; its network is converted in place if `half` is set.
        value_range: Of input and output; for [0, 1] the output is clipped.
        half: Weights and arithmetic in float16, at half the size.

    Raises:
        ImportError: onnx or onnxscript is missing or too old.
    """
    for package in ("onnx", "onnxscript"):
        try:
            import_module(package)
        except ImportError as error:
            raise ImportError(
                f"ONNX requires {package}: {install_command('export')} ({error})"
            ) from error
    check_versions("export")  # graphs written by onnxscript 0.7.0 restored some pictures wrongly
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
    the CPU (torch.export.passes.move_to_device_pass moves it elsewhere). Its extra file
    generator.json holds the metadata that `export_onnx` writes.
    """
    program = _trace(generator.network)
    torch.export.save(
        program, path, extra_files={"generator.json": json.dumps(_describe(generator, "[-1, 1]"))}
    )


def _trace(network: nn.Module) -> ExportedProgram:
    """Trace a network for images of any number and size."""
    # Otherwise the trace requires of every image what is true of the traced size by chance, such as
    # sides longer than one or not a multiple of the stride; torch.onnx sets this option, too.
    with _config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
        # Sides above the stride: a size of one at a low resolution would be fixed in the graph.
        height, width = (side + int(getattr(network, "stride", 0)) for side in (44, 53))
        program = torch.export.export(
            network,
            (torch.zeros(2, 3, height, width),),
            dynamic_shapes=({axis: Dim.DYNAMIC for axis in AXES},),
        )
    for node in program.graph.nodes:
        # A stack trace would contain paths of the exporting machine.
        node.meta.pop("stack_trace", None)
    return program


def _describe(generator: Generator, values: str) -> dict[str, str]:
    """Return the metadata of an exported file, as strings: the generator and its range."""
    told = generator._asdict()
    del told["network"]
    told["generator"] = told.pop("config")
    return {"range": values, **{name: json.dumps(value) for name, value in told.items()}}
