"""Writes tiny imitations of the data sets of the field, names and stray files and all.

python tests/imitations.py LAYOUT FOLDER
"""

import csv
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (48, 40)
REALBLUR = {
    "realblur_j": ("J", "RealBlur-J_ECC_IMCORR_centroid_itensity_ref"),
    "realblur_r": ("R", "RealBlur-R_BM3D_ECC_IMCORR_centroid_itensity_ref"),
}


def picture(path: Path, seed: int, size: tuple[int, int] = SIZE, mode: str = "RGB") -> None:
    """Write a picture of seeded noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def write_pairs(root: Path, pairs: Iterable[tuple[str, str]]) -> None:
    """Write pairs of paths; each picture's noise is its own."""
    for name in (name for sides in pairs for name in sides):
        picture(root / name, zlib.crc32(f"{root.name}/{name}".encode()))


def gopro(root: Path) -> None:
    """As it is unpacked, with the text file of each scene."""
    scenes = {"train": ["GOPR0372_07_00", "GOPR0374_11_00"], "test": ["GOPR0384_11_00"]}
    for split, names in scenes.items():
        for scene in names:
            folder = f"{split}/{scene}"
            frames = [f"{number:06}.png" for number in (47, 48, 49)]
            write_pairs(root, [(f"{folder}/blur/{f}", f"{folder}/sharp/{f}") for f in frames])
            for number, frame in enumerate(frames):
                picture(root / folder / "blur_gamma" / frame, 10 * number + 2)
            (root / folder / "frames 7 offset 0.txt").write_text("stray")
            (root / folder / "sharp" / ".DS_Store").write_bytes(b"stray")


def avg_3840fps(root: Path) -> None:
    """DeblurGAN-v2's: split, side, scene."""
    for split in ("train", "test"):
        names = [f"{scene}/{frame:05}.png" for scene in ("0372", "0374") for frame in range(2)]
        write_pairs(root / split, [(f"blur/{name}", f"sharp/{name}") for name in names])


def gopro_kaggle(root: Path) -> None:
    """No splits, no scenes."""
    names = [f"{number}.png" for number in range(12)]
    write_pairs(root, [(f"blur/images/{name}", f"sharp/images/{name}") for name in names])


def reds(root: Path) -> None:
    """Two splits with sharp frames, one without, and the other kinds of degraded frames."""
    for split in ("train", "val"):
        names = [f"{clip:03}/{frame:08}.png" for clip in (0, 1) for frame in (0, 1)]
        sides = [(f"{split}/{split}_blur/{n}", f"{split}/{split}_sharp/{n}") for n in names]
        write_pairs(root, sides)
        picture(root / f"{split}/{split}_blur_bicubic/X4/000/00000000.png", 5, (12, 10))
        for name in names:
            jpeg = Path(name).with_suffix(".jpg")
            picture(root / f"{split}/{split}_blur_jpeg" / jpeg, 7)
    picture(root / "test/test_blur/000/00000000.png", 6)


def realblur(root: Path, layout: str) -> None:
    """Lists with the sharp picture first, a space at each line's end and none of the last one."""
    kind, folder = REALBLUR[layout]
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for scene, split in (("scene001", "train"), ("scene230", "test"), ("scene244_reflect", "test")):
        for shot in (2, 10):
            sharp = f"{folder}/{scene}/gt/gt_{shot}.png"
            blur = f"{folder}/{scene}/blur/blur_{shot}.png"
            write_pairs(root, [(blur, sharp)])
            lines[split].append(f"{sharp} {blur} ")
    for split, own in lines.items():
        (root / f"RealBlur_{kind}_{split}_list.txt").write_text("\n".join(own))


def rsblur(root: Path) -> None:
    """Lists beside the folder, which they name."""
    lines: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for number, split in enumerate(lines):
        folder = f"RSBlur/{number + 1:04}/{number + 22:06}"
        sharp, blur = f"{folder}/gt/gt_sharp.png", f"{folder}/real_blur/real_blur.png"
        write_pairs(root, [(blur, sharp)])
        for other in ("avg65_img", "avg65_mask_100"):
            picture(root / folder / other / "avg_blur.png", 3)
        lines[split].append(f"{sharp} {blur}")
    for split, own in lines.items():
        (root / f"RSBlur_real_{split}.txt").write_text("\n".join(own) + "\n")


def hide(root: Path) -> None:
    """One folder of sharp pictures for all splits."""
    sides = [(f"train/{number}fromGOPR.png", f"GT/{number}fromGOPR.png") for number in range(3)]
    for kind in ("test-close-ups", "test-long-shot"):
        sides.append((f"test/{kind}/{kind}1.png", f"GT/{kind}1.png"))
    write_pairs(root, sides)
    (root / "train.txt").write_text("stray")


def dvd(root: Path) -> None:
    """Videos, ten of which are for testing by their names; others have no sharp frames."""
    for video in ("720p_240fps_1", "720p_240fps_2", "IMG_0049"):
        folder = f"quantitative_datasets/{video}"
        names = [f"{frame:05}.jpg" for frame in range(2)]
        write_pairs(root, [(f"{folder}/input/{name}", f"{folder}/GT/{name}") for name in names])
    picture(root / "qualitative_datasets/alley/input/00000.jpg", 1)


def nfs(root: Path) -> None:
    """Sharp frames alone, of which seven make a pair."""
    for video in ("Gymnastics", "airboard_1"):
        for frame in range(1, 17):
            picture(root / video / "240" / video / f"{frame:05}.jpg", frame)
        picture(root / video / "30" / video / "00001.jpg", 99)


def kohler(root: Path) -> None:
    """Many ground truths for each blurred picture."""
    for printout, path in ((1, 1), (1, 12), (4, 2)):
        picture(root / f"Blurry{printout}_{path}.png", 1)
        for pose in range(1, 12):
            name = f"GroundTruth{printout}_{path}_{pose}.png"
            picture(root / f"Image{printout}/Kernel{path}/{name}", 10 + pose)


def folders(root: Path, blur: str, sharp: str, names: list[str], splits: list[str]) -> None:
    """Two folders of equal names, in each split."""
    for split in splits:
        write_pairs(root / split, [(f"{blur}/{name}", f"{sharp}/{name}") for name in names])


def table(root: Path) -> None:
    """A spreadsheet's, with a mark at its start that some programs write."""
    rows = [
        {"blur": f"a/{n}.png", "sharp": f"b/{n + 1}.png", "split": split, "scene": "home"}
        for n, split in enumerate(("train", "train", "val", "test"))
    ]
    write_pairs(root, [(row["blur"], row["sharp"]) for row in rows])
    with open(root / "pairs.csv", "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write(layout: str, root: Path) -> None:
    """Write the imitation of a layout of `deblur.data.layouts`."""
    flat = [f"GOPR{scene}_11_00_{frame:06}.png" for scene in ("0372", "0374") for frame in (1, 2)]
    plain = [f"{number:02}.png" for number in range(20)]
    if layout in REALBLUR:
        realblur(root, layout)
    elif layout == "blur_sharp":
        folders(root, "blur", "sharp", flat, ["train", "test"])
    elif layout == "input_target":
        folders(root, "input", "target", flat, ["train", "test"])
    elif layout == "lq_gt":
        folders(root, "lq", "gt", plain, [""])
    elif layout == "a_b":
        folders(root, "A", "B", plain, ["train", "valid", "test"])
    elif layout == "input_gt":
        folders(root, "input", "GT", plain, ["train", "test"])
    elif layout == "suffixes":
        stems = [name.removesuffix(".png") for name in plain]
        write_pairs(root, [(f"{stem}_blur.png", f"{stem}_sharp.png") for stem in stems])
    elif layout == "side_by_side":
        for split in ("train", "test"):
            for name in plain[:3]:
                picture(root / split / name, int(name[:2]), (96, 40))
    else:
        {
            "gopro": gopro,
            "avg_3840fps": avg_3840fps,
            "gopro_kaggle": gopro_kaggle,
            "reds": reds,
            "rsblur": rsblur,
            "hide": hide,
            "dvd": dvd,
            "nfs": nfs,
            "kohler": kohler,
            "csv": table,
        }[layout](root)


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]))
