from pathlib import Path

import pytest
import torch

from deblur.checkpoints.integrity import check_whole


def test_any_damage_is_found(tmp_path: Path) -> None:
    path, other = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    torch.save({"a": torch.arange(1000.0)}, path)
    whole = path.read_bytes()
    check_whole(path)
    for place in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[place] ^= 16
        path.write_bytes(damaged)
        try:
            check_whole(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: damaged (") and "is intact" not in str(error)
        else:  # in what no reader looks at
            assert torch.equal(torch.load(path)["a"], torch.arange(1000.0))
    path.write_bytes(whole[:-100])
    other.write_bytes(whole)
    with pytest.raises(ValueError, match=f"ckpt={other}$"):
        check_whole(path)
    with pytest.raises(FileNotFoundError, match="none.ckpt"):
        check_whole(tmp_path / "none.ckpt")
