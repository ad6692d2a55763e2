"""The notebooks of examples/ run from the first cell to the last, at tiny sizes."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

TINY = {
    "restore_your_photo": "longest = 96",
    "train_in_plain_pytorch": (
        "crop, batch, epochs, size, width, blocks, discriminator_width = 32, 2, 2, 4, 4, 1, 4"
    ),
}
"""Settings that are added to the cell of settings of each notebook."""


def read(name: str) -> Any:
    return nbformat.read(ROOT / "examples" / f"{name}.ipynb", as_version=4)


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Execute a notebook in a folder and return the plain text of its code cells' results."""
    notebook = read(name)
    (settings,) = [one for one in notebook.cells if "parameters" in one.metadata.get("tags", [])]
    settings.source += f"\n{TINY[name]}"
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    place = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=300, startup_timeout=300, resources=place).execute()
    results = [cell.outputs[-1:] for cell in notebook.cells if cell.cell_type == "code"]
    return [one["data"]["text/plain"] for (one,) in filter(None, results) if "data" in one]


def test_every_notebook_is_tested_and_stored_without_results() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.ipynb")} == {*TINY}
    for name in TINY:
        notebook = read(name)
        nbformat.validate(notebook)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_a_photo_is_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size, shown, *_ = run("restore_your_photo", tmp_path, monkeypatch)
    assert "96" in size and "Image" in shown
    assert (tmp_path / "restored.png").stat().st_size > 10_000


def test_the_papers_networks_are_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair, _, history, figures, shape = run("train_in_plain_pytorch", tmp_path, monkeypatch)
    assert "torch.Size([3, 32, 32])" in pair and history.count(",") == 1
    assert figures.count("'psnr'") == 2 and shape == "torch.Size([3, 32, 32])"
