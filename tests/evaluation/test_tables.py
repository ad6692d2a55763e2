import math

from deblur.evaluation.tables import by_part


def test_a_part_leaves_out_infinite_gains_but_not_failed_ones() -> None:
    plain, perfect, failed = ((psnr, 0.9, 20.0, 0.8) for psnr in (21.0, math.inf, math.nan))
    rows = by_part({"a": {"it": [plain, perfect]}, "b": {"it": [plain, failed]}}).splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]
    assert [row[2:6] for row in cells] == [
        ["1", "20.00", "21.00", "+1.00"],
        ["2", "20.00", "nan", "+nan"],
    ]
