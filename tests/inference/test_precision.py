import logging
from typing import Any

import pytest
import torch

from deblur.inference import adapt, has_int8, name_arithmetic, precision
from deblur.inference.convolutions import Conv
from deblur.inference.quantized import Row
from deblur.networks import NAFNet, ResNet

CPU = torch.device("cpu")


@pytest.mark.parametrize(("units", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_is_what_the_device_has_units_for(
    units: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: units)
    assert name_arithmetic(CPU, "auto") == str(dtype).removeprefix("torch.")
    assert name_arithmetic(CPU, "float32") == "float32"
    swift = adapt(ResNet(blocks=1, width=8), CPU)
    assert {part.weight.dtype for part in swift.modules() if type(part) is Conv} == {dtype}


def test_unknown_precisions_are_refused() -> None:
    wrong: Any = "half"
    with pytest.raises(ValueError, match="one of auto, float32, bfloat16, int8, got half"):
        adapt(ResNet(blocks=1, width=8), CPU, wrong)


def test_int8_wants_a_processor_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_int8", lambda device: False)
    with pytest.raises(ValueError, match="precision=int8 is for processors with AVX-512 VNNI"):
        adapt(ResNet(blocks=1, width=8), CPU, "int8")


@pytest.mark.skipif(not has_int8(CPU), reason="no int8 units")
def test_int8_says_where_it_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    swift = adapt(ResNet(blocks=1, width=32), CPU, "int8")
    assert sum(isinstance(part, Row) for part in swift.modules()) == 1
    with caplog.at_level(logging.WARNING):
        adapt(NAFNet(width=8, encoder=(1,), decoder=(1,)), CPU, "int8")
    assert "has no rows of convolutions for it" in caplog.text
