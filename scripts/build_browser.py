"""Build the static page that restores photos in its visitor's browser.

python scripts/build_browser.py dist/browser

Requires npm, which fetches the onnxruntime-web that browser/package-lock.json pins. The page is one
file with its style and scripts in it. index.html loads the runtime and the model from beside it,
offline.html holds them; no page requests anything else. No bundler is required, as the parts of the
worker are plain scripts that only have to be joined.
"""

import argparse
import base64
import gzip
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from jinja2 import Environment, StrictUndefined
from onnx import TensorProto, helper, numpy_helper

import deblur
from deblur.checkpoints import load_generator
from deblur.checkpoints.export import export_onnx
from deblur.checkpoints.shipped import find_model

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "browser"
RUNTIME = SOURCE / "node_modules" / "onnxruntime-web"
WORKER = ("tiling.js", "exif.js", "worker.js")
CPU = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
GPU = ("ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm")
MODEL = "small.onnx"


class BuildError(RuntimeError):
    """The page cannot be built; the message says what is missing."""


def main() -> None:
    """Build the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path, help="to write the page to")
    folder: Path = parser.parse_args().folder
    try:
        build(folder)
    except (BuildError, OSError) as error:
        sys.exit(f"error: {error}")
    for path in sorted(folder.iterdir()):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def build(folder: Path) -> None:
    """Write the page's files. Raises BuildError if npm is missing or fails."""
    fetch_runtime()
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*CPU, *GPU):
        shutil.copyfile(RUNTIME / "dist" / name, folder / name)
    shutil.copyfile(SOURCE / "serve.py", folder / "serve.py")
    write_model(folder / MODEL)
    assets = {name: pack((folder / name).read_bytes()) for name in (*CPU, MODEL)}
    single = write_page(folder / "offline.html", assets=assets, offline=True)
    write_page(folder / "index.html", assets={}, offline=False, megabytes=round(single / 1e6))


def fetch_runtime() -> None:
    """Install what browser/package-lock.json pins; npm compares each package with its checksum."""
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError("npm is required for onnxruntime-web: install Node.js 20 or newer")
    quiet = ("--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error")
    ran = subprocess.run([npm, "ci", *quiet], cwd=SOURCE)
    if ran.returncode:
        raise BuildError(f"`npm ci` in {SOURCE} ended with {ran.returncode}")


def write_model(path: Path) -> None:
    """Write `small` with weights in float16, as they are bundled, and arithmetic in float32.

    It is as small as the output of `deblur convert --fp16`, loses nothing, and runs on graphics
    processors that have no float16.
    """
    with TemporaryDirectory() as folder:
        plain = Path(folder) / MODEL
        export_onnx(plain, load_generator(find_model("small")))
        model = onnx.load(plain)
    onnx.save(halve_weights(model), path)


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store the weights that fit in float16 as such; runtimes cast them once, while they load."""
    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        half = values.astype(np.float16)
        if values.dtype != np.float32 or not np.array_equal(half, values):
            continue
        name, stored = weight.name, f"{weight.name}_float16"
        weight.CopyFrom(numpy_helper.from_array(half, stored))
        casts.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model


def pack(content: bytes) -> str:
    """Compress a file and write it as text."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


def write_page(
    path: Path, *, assets: dict[str, str], offline: bool, megabytes: int | None = None
) -> int:
    """Write the page and return its size; megabytes: of the page that is one file."""
    style, script = read("page.css"), read("page.js")
    content = {
        "policy": make_policy(style, script, offline=offline),
        "icon": base64.b64encode((ROOT / "deblur/assets/web/icon.svg").read_bytes()).decode(),
        "style": style,
        "script": script,
        "worker": "\n".join(read(f"worker/{name}") for name in WORKER),
        "licences": "\n".join(
            [(ROOT / "LICENSE").read_text("utf-8"), read("onnxruntime.LICENSE.txt")]
        ),
        "version": deblur.__version__,
        "runtime_version": json.loads((RUNTIME / "package.json").read_text("utf-8"))["version"],
    }
    template = Environment(undefined=StrictUndefined, trim_blocks=True).from_string(
        read("index.html")
    )
    page = template.render(content, assets=assets, offline=offline, megabytes=megabytes)
    return path.write_text(page, encoding="utf-8", newline="\n")


def read(name: str) -> str:
    return (SOURCE / name).read_text("utf-8")


def make_policy(style: str, script: str, *, offline: bool) -> str:
    """Write the page's security policy.

    It allows this very style and script, scripts that the page makes from its own files, and
    requests to the page's own server, or to none. Workers that are made from a blob inherit it.
    """
    rules = {
        "default-src": "'none'",
        "script-src": f"{hash_source(script)} {'data:' if offline else 'blob:'} 'wasm-unsafe-eval'",
        "worker-src": "blob:",
        "style-src": hash_source(style),
        "img-src": "blob: data:",
        "connect-src": "'none'" if offline else "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def hash_source(text: str) -> str:
    """Name a text as a security policy does: by its hash."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


if __name__ == "__main__":
    main()
