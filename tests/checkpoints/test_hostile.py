"""Files of weights that were made to do harm: each is refused with its name, and nothing is run."""

import io
import os
import pickle
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from deblur import Restorer
from deblur.__main__ import main
from deblur.checkpoints import load_generator, save_generator
from deblur.networks import ResNet

CONFIG = {"_target_": "deblur.networks.ResNet", "blocks": 1, "width": 4}
WEIGHTS = {f"generator.{name}": v for name, v in ResNet(blocks=1, width=4).state_dict().items()}


def checkpoint(path: Path, **changes: Any) -> Path:
    """Write a checkpoint of ours, but for some entries."""
    torch.save({"generator": CONFIG, "state_dict": WEIGHTS, "data": {}, **changes}, path)
    return path


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where something is run."""
    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("a program was run"))


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.folder,)


def pickled(path: Path, content: Any) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


def pickled_as_torch_did_once(path: Path, content: Any) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def pickled_in_a_zip(path: Path, content: Any) -> None:
    torch.save(content, path)


@pytest.mark.parametrize("write", [pickled, pickled_as_torch_did_once, pickled_in_a_zip])
@pytest.mark.parametrize("ending", [".ckpt", ".pth", ".h5"])
@pytest.mark.parametrize("key", ["generator", "state_dict", "data", "params"])
def test_no_pickle_is_run(
    write: Callable[[Path, Any], None], ending: str, key: str, tmp_path: Path
) -> None:
    path, made = tmp_path / f"evil{ending}", tmp_path / "made"
    write(path, {"generator": CONFIG, "state_dict": {}, key: Evil(made)})
    with pytest.raises(ValueError, match=f"evil{ending}"):
        load_generator(path)
    assert not made.exists()


@pytest.mark.parametrize(
    "target",
    [
        *("os.system", "builtins.eval", "subprocess.Popen", "torch.hub.load", "ResNet", ""),
        *(
            "deblur.networks.resnet.nn.Module",
            "deblur.networks.os.system",
            "deblur.jobs.entry_point.launch",
        ),
        *("deblur.networks.DenseDiscriminator", "deblur.networks.__doc__"),
    ],
)
def test_a_config_names_generators_alone(target: str, tmp_path: Path, quiet: None) -> None:
    config = {"_target_": target, "command": "true"}
    paths = [checkpoint(tmp_path / "evil.ckpt", generator=config), tmp_path / "evil.safetensors"]
    save_generator(paths[1], ResNet(blocks=1, width=4), config, {})
    for path in paths:
        with pytest.raises(ValueError, match=f"{path.name}"):
            load_generator(path)


@pytest.mark.parametrize("name", ["system", "Path", "os", "missing", "__import__"])
def test_a_trusted_module_gives_networks_alone(
    name: str, tmp_path: Path, quiet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trusted.py").write_text(
        "import os\nfrom os import system\nfrom pathlib import Path\n"
        "from deblur.networks import ResNet\n\n\nclass Mine(ResNet):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    config = {**CONFIG, "_target_": "trusted.Mine"}
    save_generator(tmp_path / "mine.safetensors", ResNet(blocks=1, width=4), config, {})
    assert load_generator(tmp_path / "mine.safetensors", trust="trusted").network is not None
    evil = {"_target_": f"trusted.{name}", "command": "true"}
    save_generator(tmp_path / "evil.safetensors", ResNet(blocks=1, width=4), evil, {})
    with pytest.raises(ValueError, match=f"trusted.{name}"):
        load_generator(tmp_path / "evil.safetensors", trust="trusted")
    with pytest.raises(ValueError, match="trust=trusted"):
        load_generator(tmp_path / "evil.safetensors")
    monkeypatch.delitem(sys.modules, "trusted")


@pytest.mark.parametrize(
    "config",
    [
        *({"width": 2**40}, {"blocks": 2**40}, {"width": -1}, {"width": "4"}, {"width": [4]}),
        *({"blocks": None}, {"norm_eps": float("nan")}, {"dropout": 2.0}, {"skip": "all"}),
        *({"colour": "red"}, {1: 2}, {"width": 4096, "blocks": 900}, {"init": "eval('1')"}),
    ],
)
def test_arguments_out_of_range_take_no_memory(config: dict[Any, Any], tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "evil.ckpt", generator={**CONFIG, **config})
    with pytest.raises(ValueError, match="evil.ckpt"):
        load_generator(path)


def test_weights_that_are_one_value_seen_many_times_are_refused(tmp_path: Path) -> None:
    """They fit a config of a network that no memory holds."""
    with torch.device("meta"):
        shapes = ResNet(blocks=9, width=4096).state_dict()
    state = {f"generator.{name}": torch.zeros(()).expand(v.shape) for name, v in shapes.items()}
    path = checkpoint(
        tmp_path / "evil.ckpt",
        generator={"_target_": "deblur.networks.ResNet", "width": 4096},
        state_dict=state,
    )
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ValueError, match="evil.ckpt"):
        load_generator(path)


def test_what_grows_when_it_is_unpacked_is_refused(tmp_path: Path) -> None:
    plain = checkpoint(tmp_path / "plain.ckpt", more=torch.zeros(1_000_000))
    with (
        zipfile.ZipFile(plain) as file,
        zipfile.ZipFile(tmp_path / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for info in file.infolist():
            packed.writestr(info.filename, file.read(info))
    with pytest.raises(ValueError, match="bomb.ckpt"):
        load_generator(tmp_path / "bomb.ckpt")
    assert load_generator(plain)


@pytest.mark.parametrize(
    "changes",
    [
        *({"state_dict": {1: 2}}, {"state_dict": {**WEIGHTS, "generator.more": "text"}}),
        *({"generator": []}, {"data": "text"}, {"data": [1]}, {"state_dict": None}),
        {"state_dict": {name: value.to("meta") for name, value in WEIGHTS.items()}},
        {"state_dict": {n: v.to_sparse() if v.ndim else v for n, v in WEIGHTS.items()}},
        {"state_dict": {name: value.to(torch.complex64) for name, value in WEIGHTS.items()}},
    ],
)
def test_what_a_checkpoint_should_not_hold_is_told(changes: dict[str, Any], tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "odd.ckpt", **changes)
    if "generator.more" in (changes.get("state_dict") or {}):
        assert load_generator(path)  # what is no tensor is not looked at
        return
    with pytest.raises(ValueError, match="odd.ckpt"):
        load_generator(path)


@pytest.mark.parametrize("text", ["{", "[1]", "null", "[" * 100_000, "\"__import__('os')\"", "NaN"])
def test_metadata_are_parsed_and_no_more(text: str, tmp_path: Path) -> None:
    path = tmp_path / "evil.safetensors"
    weights = {name.removeprefix("generator."): value for name, value in WEIGHTS.items()}
    save_file(weights, path, {"generator": text, "data": "{}"})
    with pytest.raises(ValueError, match="evil.safetensors"):
        load_generator(path)


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_: pytest.fail("something was fetched"))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("something was fetched"))
    for address in ("https://example.org/a.ckpt", "s3://bucket/a.ckpt", "hf://user/model/a.ckpt"):
        with pytest.raises(FileNotFoundError, match="no such file"):
            load_generator(address)
        with pytest.raises(FileNotFoundError, match="no such file"):
            Restorer.load(address)


def test_the_commands_refuse_alike(
    tmp_path: Path, quiet: None, capsys: pytest.CaptureFixture[str], picture: Callable[..., Path]
) -> None:
    evil = checkpoint(tmp_path / "evil.ckpt", generator={"_target_": "os.system", "command": "x"})
    photo = picture(tmp_path / "photo.png")
    for arguments in (
        ["verify", str(evil)],
        ["convert", str(evil), "-o", str(tmp_path / "out.safetensors")],
        [str(photo), "--model", str(evil), "-o", str(tmp_path / "restored")],
    ):
        assert main(arguments) != 0
        said = capsys.readouterr()
        assert "evil.ckpt: names the network os.system" in said.out + said.err.replace("\n", " ")
    assert sorted(path.name for path in tmp_path.iterdir())[:2] == ["evil.ckpt", "photo.png"]


def test_a_cut_off_file_is_named(tmp_path: Path) -> None:
    whole = checkpoint(tmp_path / "whole.ckpt").read_bytes()
    for share in (0, 0.1, 0.5, 0.9, 0.999):
        cut = tmp_path / "cut.ckpt"
        cut.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match="cut.ckpt"):
            load_generator(cut)
    shutil.copy(tmp_path / "whole.ckpt", tmp_path / "whole.safetensors")
    with pytest.raises(ValueError, match="whole.safetensors"):
        load_generator(tmp_path / "whole.safetensors")
    buffer = io.BytesIO()
    torch.save([1, 2], buffer)
    (tmp_path / "list.ckpt").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="list.ckpt"):
        load_generator(tmp_path / "list.ckpt")
