import json
from pathlib import Path

import layouts_of_weights as layouts
import pytest
import torch
from conftest import fill

from deblur.__main__ import main
from deblur.checkpoints import export, load_generator, save_generator
from deblur.checkpoints.generator_file import Generator
from deblur.networks import NAFNet, ResNet


@pytest.fixture
def published(tmp_path: Path) -> Path:
    torch.save(layouts.deblurgan(), tmp_path / "latest_net_G.pth")
    return tmp_path / "latest_net_G.pth"


def test_published_weights_become_ours(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deblurgan.safetensors"
    assert main(["convert", str(published), "-o", str(out), "--license", "BSD-3-Clause"]) == 0
    assert f"{out}: ResNet, 0.2 MB" in capsys.readouterr().out
    before, after = load_generator(published), load_generator(out)
    assert before.config == after.config
    assert after.about["license"] == "BSD-3-Clause" and "KupynOrest" in after.about["source"]
    for name, value in before.network.state_dict().items():
        assert torch.equal(value, after.network.state_dict()[name])


def test_weights_of_two_are_averaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"_target_": "deblur.networks.ResNet", "blocks": 1, "width": 4}
    base, tuned, other = (tmp_path / f"{name}.safetensors" for name in ("base", "tuned", "other"))
    for path, value in ((base, 1.0), (tuned, 2.0)):
        network = ResNet(blocks=1, width=4)
        for parameter in network.parameters():
            torch.nn.init.constant_(parameter, value)
        save_generator(path, network, config, {})
    out = tmp_path / "both.safetensors"
    mix = ["convert", str(tuned), "--mix", str(base), "-o", str(out)]
    assert main([*mix, "--share", "0.25"]) == 0
    assert {float(p.detach().flatten()[0]) for p in load_generator(out).network.parameters()} == {
        1.25
    }
    assert main([*mix, "--share", "25", "--overwrite"]) == 2
    assert "share" in capsys.readouterr().err
    assert main(["convert", str(tuned), "--share", "0.5", *mix[4:], "--overwrite"]) == 2
    assert "--mix" in capsys.readouterr().err
    save_generator(other, ResNet(blocks=1, width=8), {**config, "width": 8}, {})
    assert main(["convert", str(other), *mix[2:], "--overwrite"]) == 2
    assert "shape" in capsys.readouterr().err


def test_nothing_is_written_over(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = published.with_suffix(".safetensors")
    out.write_text("mine")
    assert main(["convert", str(published), "-o", str(out)]) == 2
    assert "already exists" in capsys.readouterr().err and out.read_text() == "mine"
    assert main(["convert", str(published), "-o", str(out), "--overwrite"]) == 0
    assert load_generator(out).about["source"]


@pytest.mark.parametrize("ending, writer", [(".onnx", "export_onnx"), (".pt2", "export_program")])
def test_endings_choose_the_format(
    ending: str, writer: str, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, generator: Generator, **settings: object) -> None:
        path.write_text(generator.about["license"])

    monkeypatch.setattr(export, writer, write)
    out = published.with_suffix(ending)
    assert main(["convert", str(published), "-o", str(out), "--license", "CC0"]) == 0
    assert out.read_text() == "CC0"
    (tmp_path / "models").mkdir()
    link = tmp_path / f"link{ending}"
    link.symlink_to(tmp_path / "models" / "linked")
    assert main(["convert", str(published), "-o", str(link), "--license", "CC0"]) == 0
    assert link.is_symlink() and (tmp_path / "models" / "linked").read_text() == "CC0"
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["linked"]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (
            ["-o", "a.bin"],
            "a.bin: expected a name that ends in .safetensors, .onnx, .dtmodel, .pt2",
        ),
        (["-o", "a.safetensors", "--fp16"], "--fp16 is for .onnx"),
        (["-o", "a.pt2", "--range", "minus-one-one"], "--range minus-one-one is for .onnx"),
        (["-o", "a.onnx", "--precision", "float16"], "--precision float16 is for .safetensors"),
    ],
)
def test_what_cannot_be_written_is_refused(
    arguments: list[str], said: str, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(published), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_reflecting_nafnet_comes_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"_target_": "deblur.networks.NAFNet", "width": 4, "encoder": [1], "decoder": [1]}
    source, out = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_generator(source, NAFNet(width=4, encoder=[1], decoder=[1]), config, {})
    assert main(["convert", str(source), "-o", str(out), "--precision", "float16"]) == 0
    assert "pad with black where this network reflects" in capsys.readouterr().out
    assert out.stat().st_size < source.stat().st_size


def test_verify_says_what_files_are(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"_target_": "deblur.networks.ResNet", "blocks": 1, "width": 4}
    network = fill(ResNet(blocks=1, width=4))
    about = {"license": "CC BY 4.0"}
    save_generator(tmp_path / "own.safetensors", network, config, {"data": "photos"}, about)
    assert main(["verify", str(published), str(tmp_path / "own.safetensors")]) == 0
    said = capsys.readouterr().out
    assert "source: DeblurGAN (KupynOrest/DeblurGAN)" in said and "digest: none in the file" in said
    assert "network: ResNet(blocks=1, width=4)" in said and "digest: right, " in said
    assert "license: CC BY 4.0" in said and "data: data=photos" in said
    parameters = sum(value.numel() for value in network.parameters())
    assert f"parameters: {parameters}" in said and "tried: changes noise by" in said


def test_verify_tells_bad_files_by_its_status(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    state = layouts.deblurgan()
    state["model.1.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    files = [str(tmp_path / name) for name in ("bad.safetensors", "nan.pth", "none.ckpt")]
    assert main(["verify", str(published), *files, "--json"]) == 1
    errors = [facts.get("error", "") for facts in json.loads(capsys.readouterr().out)]
    assert errors[0] == "" and "not a safetensors file" in errors[1]
    assert errors[2] == "its output is not finite" and "no such file" in errors[3]
