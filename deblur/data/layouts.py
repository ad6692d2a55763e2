"""How published data sets are laid out on disk: the table that `deblur.data.search` uses."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SPLITS = {name: name for name in ("train", "val", "test")} | {"valid": "val"}
REALBLUR = "RealBlur-{}_ECC_IMCORR_centroid_itensity_ref"  # misspelt as it is published


@dataclass(frozen=True)
class Layout:
    """Where a data set keeps its pictures.

    `templates` are pairs of paths under the root, of the blurred and the sharp picture, without
    file extensions; all of them are searched for. The fields are {split}, {scene}, {frame}, {pose},
    and {blur}, the chosen variant of the blurred pictures.
    """

    title: str
    templates: tuple[tuple[str, str], ...]
    blur: str = ""
    """The default variant of the blurred pictures."""
    splits: Mapping[str, str] = field(default_factory=lambda: SPLITS)
    """The values of {split} on disk: our name of the split."""
    only: str | None = None
    """The one split of a set that has no other."""
    test_scenes: frozenset[str] = frozenset()
    """The test scenes, if one folder holds all scenes; the others are for training."""
    lists: str = ""
    """Text files with the pairs of each {split}: a line per pair, the sharp picture first."""
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """The official numbers of pairs and scenes, by folder name (0: unknown)."""
    page: str = ""
    average: int = 1
    """How many consecutive sharp frames are averaged to a blurred picture."""
    halves: bool = False
    """Whether one file holds both pictures, the blurred one on the left."""
    benchmark: bool = True
    """Whether figures measured on it can be compared with published ones."""


def _folders(
    blur: str, sharp: str, blur_end: str = "", sharp_end: str = ""
) -> tuple[tuple[str, str], ...]:
    pair = (f"{blur}/{{frame}}{blur_end}", f"{sharp}/{{frame}}{sharp_end}")
    return ((f"{{split}}/{pair[0]}", f"{{split}}/{pair[1]}"), pair)


def _realblur(kind: str) -> Layout:
    folder = REALBLUR.format(kind) if kind == "J" else REALBLUR.format("R_BM3D")
    scene = ("{scene}/blur/blur_{frame}", "{scene}/gt/gt_{frame}")
    return Layout(
        f"RealBlur-{kind} (Rim et al., ECCV 2020)",
        ((f"{folder}/{scene[0]}", f"{folder}/{scene[1]}"), scene),
        lists=f"RealBlur_{kind}_{{split}}_list.txt",
        counts={"train": (3758, 182), "test": (980, 50)},
        page="https://github.com/rimchang/RealBlur",
    )


def _suffixes(blur: str, sharp: str) -> tuple[tuple[str, str], ...]:
    pair = (f"{{frame}}_{blur}", f"{{frame}}_{sharp}")
    return ((f"{{split}}/{pair[0]}", f"{{split}}/{pair[1]}"), pair)


DVD_TEST = frozenset(
    "720p_240fps_2 IMG_0003 IMG_0021 IMG_0030 IMG_0031 "
    "IMG_0032 IMG_0033 IMG_0037 IMG_0039 IMG_0049".split()
)

# Data sets first, then the layouts of re-packed ones: a guess takes the first of the best fits.
LAYOUTS: Mapping[str, Layout] = {
    "gopro": Layout(
        "GoPro as it is unpacked (Nah et al., CVPR 2017)",
        (("{split}/{scene}/{blur}/{frame}", "{split}/{scene}/sharp/{frame}"),),
        blur="blur",
        counts={"train": (2103, 22), "test": (1111, 11)},
        page="https://seungjunnah.github.io/Datasets/gopro",
    ),
    "avg_3840fps": Layout(
        "GoPro, DVD or NFS as regenerated for DeblurGAN-v2 (*_3840FPS_AVG_3-21)",
        (("{split}/blur/{scene}/{frame}", "{split}/sharp/{scene}/{frame}"),),
        page="https://github.com/VITA-Group/DeblurGANv2",
    ),
    "gopro_kaggle": Layout(
        "1,029 pairs of unknown GoPro scenes, from Kaggle",
        (("blur/images/{frame}", "sharp/images/{frame}"),),
        counts={"": (1029, 0)},
        page="https://www.kaggle.com/datasets/rahulbhalley/gopro-deblur",
        benchmark=False,
    ),
    "reds": Layout(
        "REDS (Nah et al., NTIRE 2019)",
        (("{split}/{split}_{blur}/{scene}/{frame}", "{split}/{split}_sharp/{scene}/{frame}"),),
        blur="blur",
        splits={"train": "train", "val": "test"},  # REDS' own test split has no sharp frames
        counts={"train": (24000, 240), "val": (3000, 30)},
        page="https://seungjunnah.github.io/Datasets/reds",
    ),
    "realblur_j": _realblur("J"),
    "realblur_r": _realblur("R"),
    "rsblur": Layout(
        "RSBlur (Rim et al., ECCV 2022)",
        tuple(
            (f"{top}{{scene}}/{{frame}}/{{blur}}", f"{top}{{scene}}/{{frame}}/gt/gt_sharp")
            for top in ("RSBlur/", "")
        ),
        blur="real_blur/real_blur",
        lists="RSBlur_real_{split}.txt",
        counts={"train": (8878, 0), "val": (1120, 0), "test": (3360, 0)},
        page="https://github.com/rimchang/RSBlur",
    ),
    "hide": Layout(
        "HIDE (Shen et al., ICCV 2019)",
        (("{split}/{frame}", "GT/{frame}"), ("{split}/{scene}/{frame}", "GT/{frame}")),
        counts={"train": (6397, 0), "test": (2025, 2)},
        page="https://github.com/joanshen0508/HA_deblur",
    ),
    "dvd": Layout(
        "DVD (Su et al., CVPR 2017)",
        tuple(
            (f"{top}{{scene}}/input/{{frame}}", f"{top}{{scene}}/GT/{{frame}}")
            for top in ("quantitative_datasets/", "")
        ),
        test_scenes=DVD_TEST,
        counts={"train": (5708, 61), "test": (1000, 10)},
        page="https://www.cs.ubc.ca/labs/imager/tr/2017/DeepVideoDeblurring",
    ),
    "nfs": Layout(
        "NFS (Galoogahi et al., ICCV 2017): each seven frames at 240 fps averaged",
        (("{scene}/240/{scene}/{frame}",) * 2,),
        page="http://ci2cv.net/nfs",
        average=7,
    ),
    "kohler": Layout(
        "Köhler et al. (ECCV 2012); the middle ground truth of each blurred picture",
        (
            (
                "Blurry{scene}_{frame}",
                "Image{scene}/Kernel{frame}/GroundTruth{scene}_{frame}_{pose}",
            ),
        ),
        only="test",
        counts={"": (48, 4)},
        page="https://webdav.tuebingen.mpg.de/pixel/benchmark4camerashake",
    ),
    "blur_sharp": Layout("two folders, blur and sharp", _folders("blur", "sharp")),
    "input_target": Layout(
        "two folders, input and target (GoPro, HIDE and RealBlur as MPRNet re-packed them)",
        _folders("input", "target") + _folders("input_crops", "target_crops"),
    ),
    "input_gt": Layout(
        "two folders, input and gt or GT", _folders("input", "gt") + _folders("input", "GT")
    ),
    "lq_gt": Layout("two folders, lq and gt (BasicSR)", _folders("lq", "gt")),
    "a_b": Layout("two folders, A and B (CycleGAN); A is blurred", _folders("A", "B")),
    "suffixes": Layout(
        "names that end in _blur (_blurred, _blurry) and _sharp, _input and _target or _gt, or _lq "
        "and _gt",
        tuple(
            template
            for words in (
                *(("blur", "sharp"), ("blurred", "sharp"), ("blurry", "sharp")),
                *(("input", "target"), ("input", "gt"), ("lq", "gt")),
            )
            for template in _suffixes(*words)
        )
        + _folders("blur", "sharp", "_blur", "_sharp"),
    ),
    "side_by_side": Layout(
        "both pictures in one file, the blurred one on the left (pix2pix, DeblurGAN)",
        (("{split}/{frame}",) * 2, ("{frame}",) * 2),
        halves=True,
    ),
    "csv": Layout("a table, pairs.csv: columns blur and sharp, optionally split and scene", ()),
}
