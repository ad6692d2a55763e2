"""The bundled models."""

from pathlib import Path

WEIGHTS = Path(__file__).parent.parent / "assets" / "weights"
AUTO = "auto"
"""The default for photos: DEFAULT, and FAST for the noisy ones."""
DEFAULT = "maxim"
FAST = "fast"
"""The model of --fast."""
FASTEST = "small"
"""The default for videos of which all frames are restored."""
HINTS = {
    "auto": "maxim, or fast for noisy photos",
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


def find_models(name_or_path: str | Path) -> tuple[Path, Path | None]:
    """Return a model's file, and for AUTO that of the one for noisy pictures, as `find_model`."""
    if str(name_or_path) == AUTO and not Path(AUTO).is_file():
        return find_model(DEFAULT), find_model(FAST)
    return find_model(name_or_path), None


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
