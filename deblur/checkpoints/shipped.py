"""The bundled models."""

from pathlib import Path

WEIGHTS = Path(__file__).parent.parent / "assets" / "weights"
DEFAULT = "maxim"
FAST = "fast"
"""The model of --fast."""
FASTEST = "small"
"""The default for videos of which all frames are restored."""
HINTS = {
    "maxim": "strong, and true to the photo",
    "fast": "a quarter of the time; removes noise too, but less blur than maxim",
    "small": "fastest, cautious; for videos",
    "gan": "the finest detail, some of it invented; most synthetic blur removed",
    "maxim-gopro": "as published by Google: not for noisy photos",
}


def list_shipped() -> list[str]:
    """Return the names of the bundled models, the default one first, then the fast one."""
    names = (path.stem for path in WEIGHTS.glob("*.safetensors"))
    return sorted(names, key=lambda name: (name != DEFAULT, name != FAST, name))


def find_model(name_or_path: str | Path) -> Path:
    """Return the file of a bundled model, by name, or the user's own; raise FileNotFoundError.

    A file takes precedence over a bundled model of the same name, but a folder does not.
    """
    path = Path(name_or_path)
    shipped = WEIGHTS / f"{name_or_path}.safetensors"
    if path.suffix or path.is_file() or (path.exists() and not shipped.is_file()):
        if path.exists():
            return path
        raise FileNotFoundError(f"{path}: no such file; expected a .ckpt or .safetensors")
    if not shipped.is_file():
        names = ", ".join(list_shipped()) or "none yet"
        raise FileNotFoundError(
            f"{name_or_path}: no such file or bundled model ({names}); to train one, type "
            "`python train.py experiment=quick` and name its file, runs/.../generator.safetensors"
        )
    return shipped
