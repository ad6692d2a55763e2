from argparse import ArgumentTypeError

import pytest

from deblur.__main__ import main
from deblur.commands.numbers import above_zero, from_zero, whole


def test_a_number_lies_in_its_range() -> None:
    assert (whole(0)("7"), whole(1, 3)("3"), above_zero("0.5"), from_zero("0")) == (7, 3, 0.5, 0)
    for text in ("-1", "4", "x", ""):
        with pytest.raises(ArgumentTypeError, match="0 to 3"):
            whole(0, 3)(text)
    for text in ("0", "inf", "nan", "x"):
        with pytest.raises(ArgumentTypeError, match="above 0"):
            above_zero(text)
    for text in ("-1", "inf", "nan", "x"):
        with pytest.raises(ArgumentTypeError, match="0 or more"):
            from_zero(text)


@pytest.mark.parametrize(
    "command",
    [
        *("check-data x --sample -1", "prepare x y --workers 0", "score x y --workers -3"),
        *("serve --queue -1", "serve --grace -5", "web --port 65536", "doctor --seconds -1"),
        *("frames x y --step 0", "frames x y --max-step -1"),
    ],
)
def test_numbers_out_of_range_are_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(command.split())
    assert end.value.code == 2 and "expected a" in capsys.readouterr().err
