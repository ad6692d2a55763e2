"""Draw a sheet of each kind of blur:  make figures

The same two crops of built-in photos, blurred by trajectory, shake, objects and camera of
conf/blur, and by the full camera with one ingredient of the sensor at a time; seeds are fixed.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from deblur.data.photos import BUILT_IN
from deblur.media.image_grid import sheet
from deblur.media.images import read

CONF = Path(__file__).resolve().parent.parent / "conf"
SIDE = 288
SPOTS = {"cincinnati-bridge.jpg": (330, 480), "chateaudeChambord.webp": (250, 380)}
MOTIONS = {
    "trajectory": ["blur=trajectory", "blur.motion.length=20"],
    "shake": ["blur=shake", "blur.motion.length=20", "blur.motion.roll=3"],
    "objects": ["blur=objects", "blur.motion.length=30", "blur.motion.radius=0.35"],
    "camera": ["blur=camera"],
}
STRONG = {
    "linear": "blur.shares.linear=0",
    "optics": "blur.optics=1.5",
    "highlights": "blur.highlights=4",
    "noise": "blur.shot=3e-3",
    "mosaic": "blur.red=2.2",
    "jpeg": "blur.quality=15",
}


def expose(overrides: list[str], seed: int) -> list[torch.Tensor]:
    """Blur both crops: uint8 (3, SIDE, SIDE) each."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        camera = instantiate(compose("config", overrides=overrides).blur, _convert_="all")
    m = camera.margin
    windows = []
    for name, (top, left) in SPOTS.items():
        pixels = read(BUILT_IN / name)[top - m : top + SIDE + m, left - m : left + SIDE + m]
        windows.append(torch.from_numpy(pixels).permute(2, 0, 1))
    rngs = [np.random.default_rng((seed, index)) for index in range(len(windows))]
    return list(camera(torch.stack(windows), rngs)[0])


def main(folder: Path) -> None:
    """Write blur.webp and sensor.webp into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {"sharp": expose(["blur=trajectory", "blur.motion.length=0"], 0)}
    columns |= {name: expose(overrides, 8) for name, overrides in MOTIONS.items()}
    sheet(folder / "blur.webp", [dict(zip(columns, row)) for row in zip(*columns.values())])
    plain = ["blur=camera", "blur.motion.shares={trajectory: 1, shake: 0, objects: 0}"]
    plain += ["blur.motion.motions.trajectory.length=16"]
    off = {name: f"blur.shares.{name}={int(name == 'linear')}" for name in STRONG}
    columns = {"none of it": expose([*plain, *off.values()], 5)}
    for name, strength in STRONG.items():
        on = {**off, name: f"blur.shares.{name}={int(name != 'linear')}"}
        overrides = [*plain, *on.values()] + ([strength] if name != "linear" else [])
        columns["averaged pixels" if name == "linear" else name] = expose(overrides, 5)
    sheet(folder / "sensor.webp", [dict(zip(columns, row)) for row in zip(*columns.values())])
    print(f"{folder}/blur.webp, sensor.webp")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/figures"))
