"""What the tests of the report's page show, here and in a browser."""

from typing import Any

from PIL import Image

from deblur.evaluation.html_report import Shown

HOSTILE = "<script>alert(1)</script>\"'</script>"
COLOURS = {"blurred": "red", "restored": "lime", "sharp": "blue", "error": "yellow"}


def summary(mean: float, **more: float) -> dict[str, float]:
    return {
        "highest": mean + 1,
        "lowest": mean - 1,
        "mean": mean,
        "median": mean + 0.25,
        "scene_mean": mean - 0.25,
        **more,
    }


def document(**changes: Any) -> dict[str, Any]:
    blurry = {"psnr": summary(25), "psnr_pooled": {"mean": 24.5}, "lpips": summary(0.25)}
    restored = {
        "psnr": summary(27.125, low=26.5, high=27.75),
        "psnr_pooled": {"mean": 24.25},
        "lpips": summary(0.125),
    }
    return {
        "title": "restored on gopro, test split",
        "date": "2026-11-22 20:15",
        "command": "python eval.py ckpt=last.ckpt",
        "checkpoints": [
            {
                "label": "restored",
                "path": "runs/last.ckpt",
                "sha256": "0123456789abcdef" * 4,
                "parameters": 11388675,
                "data": {"name": "photos"},
            }
        ],
        "data": {
            "name": "gopro",
            "root": None,
            "split": "test",
            "pairs": 3,
            "blur": "averaged frames",
            "check": {"layout": "GoPro", "counts": ["3 pairs"], "faults": [], "notes": ["small"]},
        },
        "device": "cpu",
        "precision": "float32",
        "tiles": "none, whole frames",
        "versions": {"deblur": "0.1.0", "torch": "2.14"},
        "protocols": {
            "wang-rgb": {
                "title": "8-bit RGB, whole frames",
                "results": {"blurry input": blurry, "restored": restored},
            }
        },
        "gains": {"wang-rgb": {"restored": {"mean": 2.125, "better": 2, "of": 3}}},
        "scenes": 3,
        "times": [
            {
                "method": "restored",
                "size": "1280x720",
                "images": 3,
                "median": 0.5,
                "p95": 0.75,
                "file_to_file": None,
                "peak_memory_mb": 1200.0,
            }
        ],
        "published": [],
        **changes,
    }


def row(name: str, psnr: float | None, method: str = "restored", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "scene": name[:1],
        "method": method,
        "protocol": "wang-rgb",
        "width": 1280,
        "height": 720,
        "blur_sigma": 1.5,
        "psnr": psnr,
        "seconds": None if method == "blurry input" else 0.5,
        **more,
    }


def example(name: str = "a1", kind: str = "sheet", width: int = 96) -> Shown:
    pictures = {side: Image.new("RGB", (width, 64), one) for side, one in COLOURS.items()}
    return Shown(name, "restored", kind, {"gain": 1.25, "psnr": 27.5, "ssim": 0.91}, pictures)
