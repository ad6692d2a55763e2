"""How the data sets of the field lie on disk: the table that `deblur.data.search` reads by."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SPLITS = {name: name for name in ("train", "val", "test")} | {"valid": "val"}
REALBLUR = "RealBlur-{}_ECC_IMCORR_centroid_itensity_ref"  # misspelt as it is published


@dataclass(frozen=True)
class Layout:
    """Where a data set keeps its pictures.

    templates: pairs of paths under the root, the blurred picture's and the sharp one's, without
    their endings; all of them are looked for. {split}, {scene}, {frame} and {pose} stand for
    what they say, {blur} for the name chosen among the variants of the blurred pictures.
    """

    title: str
    templates: tuple[tuple[str, str], ...]
    blur: str = ""
    """The variant of the blurred pictures that is read unless another is asked for."""
    splits: Mapping[str, str] = field(default_factory=lambda: SPLITS)
    """What {split} may be, and the split that it is here."""
    only: str | None = None
    """The split that all of it belongs to."""
    test_scenes: frozenset[str] = frozenset()
    """Scenes for testing, where one folder holds them all; the others are for training."""
    lists: str = ""
    """The text files that say which pair is in which {split}: a line a pair, the sharp first."""
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """The official numbers of pairs and scenes, by folder name (0: not known)."""
    page: str = ""
    average: int = 1
    """How many consecutive sharp frames make a blurred picture."""
    halves: bool = False
    """Whether one file holds both pictures, the blurred one on the left."""
    benchmark: bool = True
    """Whether figures measured on it mean anything to others."""


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

# Sets first, then what their re-packs look like: a guess takes the first that fits best.
LAYOUTS: Mapping[str, Layout] = {
    "gopro": Layout(
        "GoPro as it is unpacked (Nah et al., CVPR 2017)",
        (("{split}/{scene}/{blur}/{frame}", "{split}/{scene}/sharp/{frame}"),),
        blur="blur",
        counts={"train": (2103, 22), "test": (1111, 11)},
        page="https://seungjunnah.github.io/Datasets/gopro",
    ),
    "avg_3840fps": Layout(
        "GoPro, DVD or NFS as DeblurGAN-v2 made them anew (*_3840FPS_AVG_3-21)",
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
        splits={"train": "train", "val": "test"},  # its test has no sharp frames
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
        "NFS (Galoogahi et al., ICCV 2017): frames of 240 a second, averaged seven by seven",
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
    "csv": Layout("a table, pairs.csv, with columns blur and sharp, maybe split and scene", ()),
}
