"""Packages by darktable's own rules, and what chaiNNer makes of a graph.

darktable's are those of darktable-org/darktable, read at these commits: src/common/ai_models.c
(installing, finding) at 01e3de30fe30b9298e1d55b993a068eefc557cfa, src/ai/backend_common.c (what is
read of config.json) at 0b9e78fd1025c3e03a8a6c518c0fa58591209391, src/common/ai/restore.c (the
session, its size) at a96b70138351a94ce9472f41dc38d401f55b32d6; and of what its repositories ask,
andriiryzhkov/darktable-ai-sdk at 1d14e44bcbe3044a54fce5eba68d21286b34e2fb. chaiNNer's are those of
backend/src/nodes/impl/onnx/load.py and utils.py of chaiNNer-org/chaiNNer, load.py at
1de0be335246dc5cebbfee1a6c1d1ec6ec432a7f.
"""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import fill
from onnx.tools.update_model_dims import update_inputs_outputs_dims

from deblur.__main__ import main
from deblur.checkpoints import Generator, save_generator
from deblur.checkpoints.darktable import check_id, export_darktable, write_versions
from deblur.checkpoints.shipped import list_shipped
from deblur.networks import MAXIM, ResUNet

REQUIRED = ("id", "name", "description", "task", "backend", "version")
"""Of config.json, by the SDK's validate.py."""
CARD = ("author", "source", "license", "training_data", "training_data_license", "notes")
CONFIG = {"width": 4, "encoder": (1, 1), "middle": 1, "decoder": (1, 1)}


def make() -> Generator:
    config = {"_target_": "deblur.networks.ResUNet", **CONFIG}
    return Generator(fill(ResUNet(**CONFIG)).eval(), config, {})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("package") / "denoise-deblur-small.dtmodel"
    export_darktable(path, make(), shipped="small")
    return path


def install(package: Path, models: Path) -> Path:
    """Unpack a package as dt_ai_models_install_local does; return the model's folder."""
    with zipfile.ZipFile(package) as archive:
        entries = archive.namelist()
        # _zip_top_dir: the first entry's first folder is the id; _valid_model_id.
        name = entries[0].split("/")[0]
        assert name and name not in (".", "..") and "\\" not in name
        # _extract_zip: entries with ".." anywhere are left out.
        assert not any(".." in entry for entry in entries)
        assert all(entry.startswith(f"{name}/") for entry in entries)
        archive.extractall(models)
    # _extract_zip_atomic, and pass 2 of dt_ai_models_refresh_status.
    assert (models / name / "config.json").is_file()
    return models / name


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json as _scan_directory and _parse_local_model_config do."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    for key in ("id", "name", "description", "task", "backend", "version", "arch"):
        assert isinstance(config[key], str) and config[key]
    assert config["id"] == folder.name
    assert config["backend"] == "onnx" and config.get("num_inputs", 1) == 1
    major, minor = (int(part) for part in config["version"].split("."))  # _version_compare
    assert (major, minor) >= (0, 0)
    return config


def open_session(path: Path, side: int) -> onnxruntime.InferenceSession:
    """Open a graph with the sizes that _create_session sets by the names of dimensions."""
    options = onnxruntime.SessionOptions()
    for name, size in (("batch_size", 1), ("batch", 1), ("height", side), ("width", side)):
        options.add_free_dimension_override_by_name(name, size)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def test_darktable_installs_and_runs_a_package(package: Path, tmp_path: Path) -> None:
    folder = install(package, tmp_path)
    config = read_config(folder)
    assert set(REQUIRED) <= set(config) and config["task"] == "denoise"
    assert {*CARD} <= {key for key, value in config["model_card"].items() if isinstance(value, str)}
    side = 256  # the least of the tiles that restore.c tries at scale 1
    session = open_session(folder / "model.onnx", side)
    (given,), (returned,) = session.get_inputs(), session.get_outputs()
    assert given.shape == returned.shape == [1, 3, side, side]
    assert given.type == returned.type == "tensor(float)"
    tile = np.random.default_rng(0).random((1, 3, side, side), np.float32)
    (restored,) = session.run(None, {given.name: tile})
    with torch.no_grad():
        expected = make().network(torch.from_numpy(tile) * 2 - 1) / 2 + 0.5
    np.testing.assert_allclose(restored, expected.clamp(0, 1).numpy(), atol=1e-4)


def test_a_package_bundles_its_card_and_is_the_same_each_time(
    package: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(package) as archive:
        assert "denoise-deblur-small/small.md" in archive.namelist()
    again = tmp_path / package.name
    export_darktable(again, make(), shipped="small")
    assert again.read_bytes() == package.read_bytes()


def test_versions_are_entered_beside_others(package: Path) -> None:
    listed = package.with_name("versions.json")
    listed.write_text(json.dumps({"models": {"other": {"version": "2.0"}}}))
    write_versions(package)
    models = json.loads(listed.read_text("utf-8"))["models"]
    assert models["other"] == {"version": "2.0"} and list(models) == sorted(models)
    entry = models["denoise-deblur-small"]
    # What _fetch_asset_digest and dt_ai_models_check_updates read; the rest is only shown.
    assert entry["sha256"] == f"sha256:{hashlib.sha256(package.read_bytes()).hexdigest()}"
    assert entry["version"] == "1.0" and entry["size"] == package.stat().st_size
    for content in ("no JSON", "[]", '{"models": []}'):
        listed.write_text(content)
        with pytest.raises(ValueError, match="versions.json"):
            write_versions(package)
        assert listed.read_text() == content
    listed.unlink()


@pytest.mark.parametrize("name", ["", ".hidden", "a..b", "a\\b"])
def test_names_that_darktable_refuses_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="dtmodel"):
        check_id(name)


def test_every_shipped_model_has_a_card() -> None:
    from deblur.checkpoints.darktable import CARDS

    cards = json.loads(CARDS.read_text("utf-8"))
    assert set(cards) == {*list_shipped()}
    for card in cards.values():
        assert {"name", "description", "long_description", *CARD} <= {*card}


def test_a_network_with_tiles_of_its_own_names_their_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "deblur.checkpoints.darktable.export_onnx",
        lambda path, generator, half: path.write_bytes(b"graph"),
    )
    network = MAXIM(stages=1, width=4, groups=1, bottlenecks=1)
    path = tmp_path / "denoise-mine.dtmodel"
    export_darktable(path, Generator(network, {}, {}, {"license": "CC0"}), version="1.2")
    config = read_config(install(path, tmp_path / "models"))
    assert config["attributes"] == {"input_sizes": [512]} and config["version"] == "1.2"
    assert config["model_card"]["license"] == "CC0"
    assert config["model_card"]["training_data"] == "not stated"


def test_the_verb_writes_a_package_and_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = make()
    source, out = tmp_path / "mine.safetensors", tmp_path / "denoise-mine.dtmodel"
    save_generator(source, generator.network, generator.config, {})
    monkeypatch.setattr(
        "deblur.checkpoints.darktable.export_onnx",
        lambda path, generator, half: path.write_bytes(b"half" if half else b"graph"),
    )
    assert main(["convert", str(source), "-o", str(out), "--fp16", "--version", "1.1"]) == 0
    assert str(tmp_path / "versions.json") in capsys.readouterr().out
    folder = install(out, tmp_path / "models")
    assert (folder / "model.onnx").read_bytes() == b"half"
    assert json.loads((tmp_path / "versions.json").read_text())["models"]["denoise-mine"]


def test_chainner_sees_three_channels_scale_one_and_any_size(package: Path, tmp_path: Path) -> None:
    model = onnx.load(install(package, tmp_path) / "model.onnx")
    # is_image_to_image, to_onnx_tensor_shape and parse_onnx_shape: BCHW, three channels, no sizes.
    (given,), (returned,) = model.graph.input, model.graph.output
    shape = [side.dim_param or side.dim_value for side in given.type.tensor_type.shape.dim]
    assert len(shape) == 4 and shape[1] == 3 and isinstance(shape[2], str)
    # _detect_size_req: the first size whose output can be inferred; a scale must divide.
    out = [side.dim_param or side.dim_value for side in returned.type.tensor_type.shape.dim]
    update_inputs_outputs_dims(model, {given.name: [1, 3, 16, 16]}, {returned.name: out})
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    sides = inferred.graph.output[0].type.tensor_type.shape.dim
    assert sides[1].dim_value == 3
    # Where it cannot infer a size it asks for none; where it can, the scale is one.
    assert {side.dim_value for side in sides[2:]} <= {0, 16}
