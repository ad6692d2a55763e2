"""darktable's model packages: a zip of an ONNX graph with its description and licences.

darktable 5.6 has no task for deblurring. A package therefore declares `denoise`, whose models take
and return the picture at its own size, (1, 3, H, W), sRGB in [0, 1], in tiles that overlap by 64
pixels.
"""

import hashlib
import json
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deblur.atomic import replacing
from deblur.checkpoints.export import export_onnx
from deblur.checkpoints.generator_file import Generator
from deblur.checkpoints.shipped import WEIGHTS

ENDING = ".dtmodel"
TASK = "denoise"
VERSIONS = "versions.json"
"""The list of a release's packages and their versions, which darktable reads."""
CARDS = WEIGHTS / "cards.json"
APACHE = "LICENSE.Apache-2.0.txt"
UNKNOWN = "not stated"
DATED = (1980, 1, 1, 0, 0, 0)
"""The time of all files in a package, so that the same weights make the same archive."""


def export_darktable(
    path: Path,
    generator: Generator,
    *,
    shipped: str | None = None,
    version: str = "1.0",
    half: bool = False,
) -> None:
    """Write a generator as a package that darktable imports: preferences, AI, import from file.

    Args:
        path: NAME.dtmodel; the name becomes the model's id.
        generator: The generator; its network is converted in place if `half` is set.
        shipped: The name of a bundled model, whose card and licences are added; None for the user's
            own, whose card is made from the metadata of its file.
        version: "X.Y", which darktable compares with that of an installed package.
        half: See `export_onnx`.

    Raises:
        ValueError: darktable would refuse the name.
        ImportError: See `export_onnx`.
    """
    name = path.name.removesuffix(ENDING)
    check_id(name)
    config = _configure(name, generator, shipped, version)
    with TemporaryDirectory() as folder:
        export_onnx(Path(folder) / "model.onnx", generator, half=half)
        contents = {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir())}
    text = json.dumps(config, indent=4, ensure_ascii=False) + "\n"
    contents = {"config.json": text.encode(), **contents, **_list_licences(shipped)}
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, content in contents.items():
            entry = zipfile.ZipInfo(f"{name}/{inside}", DATED)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, content)


def check_id(name: str) -> None:
    """Raise ValueError for the id of a model that darktable would refuse or not unpack."""
    if not name or name.startswith(".") or ".." in name or "/" in name or "\\" in name:
        raise ValueError(f"{name}{ENDING}: not a model's id, expected e.g. denoise-deblur{ENDING}")


def write_versions(package: Path) -> Path:
    """Add a package to the versions.json in its folder, keep the other entries, return the path.

    Raises ValueError if that file has another content.
    """
    path = package.with_name(VERSIONS)
    with zipfile.ZipFile(package) as archive:
        config = json.loads(archive.read(f"{package.name.removesuffix(ENDING)}/config.json"))
    content = package.read_bytes()
    told: Any = {"models": {}}
    if path.exists():
        try:
            told = json.loads(path.read_text("utf-8"))
            told["models"].items()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path}: not a list of models for darktable ({error})") from error
    told["models"][config["id"]] = {
        "version": config["version"],
        "sha256": f"sha256:{hashlib.sha256(content).hexdigest()}",
        # darktable shows these for a third-party repository's models before it downloads them.
        **{key: config[key] for key in ("name", "description", "task")},
        "license": config["model_card"]["license"],
        "size": len(content),
    }
    told["models"] = dict(sorted(told["models"].items()))
    with replacing(path) as file:
        file.write((json.dumps(told, indent=2) + "\n").encode())
    return path


def _configure(
    name: str, generator: Generator, shipped: str | None, version: str
) -> dict[str, Any]:
    """Return the package's config.json, which darktable reads before it opens the graph."""
    card: dict[str, str] = (
        json.loads(CARDS.read_text("utf-8"))[shipped] if shipped else _describe_own(name, generator)
    )
    network = generator.network
    config = {
        "id": name,
        "name": card.pop("name"),
        "description": card.pop("description"),
        "task": TASK,
        "arch": type(network).__name__.lower(),
        "backend": "onnx",
        "version": version,
        "tiling": True,
        "num_inputs": 1,
        "model_card": {"scope": "motion deblurring of a single photo", **card},
    }
    tiling = getattr(network, "tiling", None)
    if tiling is not None:  # its statistics are those of a whole tile, so its size must be fixed
        config["attributes"] = {"input_sizes": [int(tiling.side)]}
    return config


def _describe_own(name: str, generator: Generator) -> dict[str, str]:
    about = generator.about
    data = json.dumps(generator.data) if generator.data else UNKNOWN
    return {
        "name": name.replace("-", " "),
        "description": "Removes motion blur; darktable runs it as a denoiser",
        "author": about.get("author", UNKNOWN),
        "source": about.get("source", UNKNOWN),
        "license": about.get("license", UNKNOWN),
        "training_data": about.get("about", data),
        "training_data_license": UNKNOWN,
        "notes": "Letters, number plates and faces in its output may be invented.",
    }


def _list_licences(shipped: str | None) -> dict[str, bytes]:
    """Read the card of a bundled model, and the licences of its weights."""
    if shipped is None:
        return {}
    files = [*sorted(WEIGHTS.glob(f"{shipped}.*md"))]
    if len(files) > 1:  # it has a notice: the weights are not our own
        files.append(WEIGHTS / APACHE)
    return {file.name: file.read_bytes() for file in files}
