import json
import math
from base64 import b64decode
from collections import defaultdict
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from report_samples import HOSTILE, document, example, row, summary

from deblur.evaluation.html_report import Shown, page


class Reader(HTMLParser):
    """Reads tables by class, attributes, pictures, headings, texts by class and the rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = defaultdict(list)
        self.links: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.bold: list[str] = []
        self.classes: dict[str, list[str]] = defaultdict(list)
        self.rows: dict[str, Any] = {}
        self.table = self.name = self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.inside = tag
        given = dict(attributes)
        self.links += [str(given[name]) for name in ("src", "href") if name in given]
        self.name = given.get("class") or given.get("id") or ""
        if tag == "table":
            self.table = self.name
        elif tag == "tr":
            self.tables[self.table].append([])
        elif tag in ("td", "th"):
            self.tables[self.table][-1].append("")
        elif tag == "small" and self.table:
            self.tables[self.table][-1][-1] += " "

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""
        if tag == "table":
            self.table = ""

    def handle_data(self, data: str) -> None:
        if self.table and self.tables[self.table] and self.tables[self.table][-1]:
            self.tables[self.table][-1][-1] += data.strip()
        if self.inside == "b":
            self.bold.append(data.strip())
        if self.name == "rows" and data.strip():
            self.rows = json.loads(data)
        if data.strip():
            self.words.append(" ".join(data.split()))
            self.classes[self.name].append(data.strip())


def read(
    shown: list[Shown] | None = None, rows: list[dict[str, Any]] | None = None, **changes: Any
) -> Reader:
    return Reader(page(document(**changes), rows or [row("a1", 27.0)], shown or []))


def test_summary_has_the_figures_of_each_method() -> None:
    table = read().tables["summary"]
    assert table[0] == ["method", "mean", "median", "highest", "lowest", "scene mean"]
    assert table[1:3] == [
        ["PSNR (dB)"],
        ["blurry input", "25.00", "25.25", "26.00", "24.00", "24.75"],
    ]
    assert table[3][:3] == ["restored", "27.12 26.50 to 27.75", "27.38"]
    assert table[4:6] == [["pooled PSNR (dB)"], ["blurry input", "24.50", "", "", "", ""]]
    assert table[7:9] == [
        ["LPIPS"],
        ["blurry input", "0.2500", "0.5000", "1.2500", "-0.7500", "0.0000"],
    ]


def test_what_is_counted_stands_under_the_mean() -> None:
    results = {"restored": {"psnr": summary(25), "unaligned": {"count": 3.0}}}
    protocols = {"realblur": {"title": "aligned", "results": results}}
    assert read(protocols=protocols, gains={}).tables["summary"][4][:3] == [
        *("restored", "3 pictures", ""),
    ]


def test_identical_pictures_are_noted_and_are_no_column() -> None:
    results = {"restored": {"psnr": summary(math.inf, identical=1.0, mean_of_others=25.0)}}
    note = "restored: 1 picture is identical to the sharp one"
    protocols = {"y": {"title": "luma", "results": results, "notes": [note]}}
    found = read(protocols=protocols, gains={})
    assert f"{note}." in found.words and len(found.tables["summary"][0]) == 6


def test_best_means_are_bold() -> None:
    bold = read().bold
    assert "27.12" in bold and "25.00" not in bold
    assert "24.50" in bold and "24.25" not in bold
    assert "0.1250" in bold and "0.2500" not in bold


def test_one_method_has_no_best() -> None:
    results = {"restored": {"psnr": summary(27.125)}}
    protocols = {"y": {"title": "luma", "results": results}}
    read_page = read(protocols=protocols, gains={})
    assert read_page.tables["summary"][2][1] == "27.12"
    assert "27.12" not in read_page.bold


def test_gains_and_the_command_are_told() -> None:
    words = " ".join(read().words)
    assert "+2.12 dB over the blurry input on average, better on 2 of 3 images" in words
    assert "python eval.py ckpt=last.ckpt" in words
    assert "0123456789abcdef" * 4 in words


def test_infinite_and_undefined_figures_are_written() -> None:
    infinite = {"psnr": summary(math.inf), "ssim": summary(math.nan)}
    protocols = {"y": {"title": "luma", "results": {"blurry input": infinite, "b": infinite}}}
    rows = [row("a", math.inf), row("b", -math.inf), row("c", math.nan), row("d", None)]
    read_page = read(rows=rows, protocols=protocols, gains={})
    assert [line[1] for line in read_page.tables["summary"] if line[0] == "b"] == ["inf", "nan"]
    at = [column["title"] for column in read_page.rows["columns"]].index("PSNR (dB)")
    values = [values[at] for values in read_page.rows["rows"]]
    assert values == ["Infinity", "-Infinity", "NaN", None]


def test_rows_lie_in_the_page_as_json() -> None:
    rows = read(rows=[row("a1", 27.0), row("b2", 26.5, "blurry input", ssim=0.5)]).rows
    titles = [column["title"] for column in rows["columns"]]
    assert titles[:5] == ["name", "scene", "method", "protocol", "size"]
    assert titles[5:] == ["blur sigma (px)", "PSNR (dB)", "seconds", "SSIM"]
    assert rows["rows"][1][:5] == ["b2", "b", "blurry input", "wang-rgb", "1280x720"]
    assert rows["rows"][1][5:] == [1.5, 26.5, None, 0.5]


def test_published_rows_say_whether_the_protocol_differs() -> None:
    one = {"system": "DeblurGAN", "psnr": 28.7, "ssim": 0.958, "seconds": None}
    rows = [
        {**one, "protocol": "y", "differs": True, "measured": "Table 2"},
        {**one, "protocol": "wang-rgb", "differs": False, "measured": "Table 3"},
    ]
    first, second = read(published=rows).tables["published"][1:]
    assert first == ["DeblurGAN", "28.70", "0.958", "–", "y≠ protocol differs", "Table 2"]
    assert second[4:] == ["wang-rgb", "Table 3"]


def test_times_leave_out_what_was_not_taken() -> None:
    assert read().tables["times"][2] == [
        *("restored", "1280x720", "3", "0.500", "0.750", "–", "1200")
    ]


@pytest.mark.parametrize("faults", [[], ["a.png has no partner"]])
def test_faults_of_the_data_stand_out(faults: list[str]) -> None:
    data = document()["data"]
    read_page = read(data={**data, "check": {**data["check"], "faults": faults}})
    assert read_page.classes["fault"] == faults
    assert ("none" in read_page.words) == (not faults)


def test_pictures_are_embedded() -> None:
    shown = [example(), example("b2", "worst", 1200), example("c3", "best")]
    read_page = read(shown)
    pictures = [link for link in read_page.links if link.startswith("data:image/webp;base64,")]
    assert len(pictures) == 12 == read_page.tags.count("img")
    sizes = [Image.open(BytesIO(b64decode(one.split(",")[1]))).size for one in pictures]
    assert sizes[0] == (96, 64) and sizes[4] == (1200, 64)
    assert {"Pictures drawn by scene", "One worst", "One best"} <= {*read_page.words}
    assert "+1.25" in read_page.bold


def test_nothing_is_asked_of_other_places() -> None:
    assert all(link.startswith(("data:", "#")) for link in read([example()]).links)


def test_names_are_escaped() -> None:
    plain = document()
    changes = {
        "title": HOSTILE,
        "command": HOSTILE,
        "data": {**plain["data"], "root": HOSTILE},
        "checkpoints": [{**plain["checkpoints"][0], "label": HOSTILE, "data": {HOSTILE: HOSTILE}}],
        "protocols": {HOSTILE: {"title": HOSTILE, "results": {HOSTILE: {"psnr": summary(1)}}}},
    }
    shown = [example(HOSTILE)]
    rows = [row(HOSTILE, 20.0, HOSTILE, protocol=HOSTILE)]
    hostile = read(shown, rows, **changes)
    assert hostile.tags.count("script") == read(shown).tags.count("script") == 2
    assert hostile.rows["rows"][0][0] == HOSTILE
    assert hostile.tables["summary"][2][0] == HOSTILE


def test_plot_has_a_point_an_image_and_method() -> None:
    rows = [row("a", 27.0), row("a", 25.0, "blurry input"), row("b", math.inf), row("c", None)]
    rows += [row("d", 26.0, blur_sigma=None), row("e", 26.0, protocol="y")]
    read_page = read(rows=rows)
    assert read_page.tags.count("circle") == 2
    assert "a, restored: 27.00 dB, sigma 1.50 px" in read_page.words
    assert any("Left out: 1 with an infinite figure" in words for words in read_page.words)


def test_many_points_have_a_line_of_medians() -> None:
    rows = [row(f"a{n}", 30 - n / 30, blur_sigma=n / 60) for n in range(200)]
    assert read(rows=rows).tags.count("polyline") == 1
    assert read(rows=rows[1:]).tags.count("polyline") == 0


def test_pictures_without_partners_have_times_alone() -> None:
    rows = [row("a", None, protocol=None)]
    del rows[0]["psnr"]
    one = example()._replace(figures={})
    one.pictures.pop("sharp")
    one.pictures.pop("error")
    data = {**document()["data"], "check": None}
    read_page = read([one], rows, protocols={}, gains={}, checkpoints=[], data=data)
    assert "summary" not in read_page.tables and "svg" not in read_page.tags
    titles = [column["title"] for column in read_page.rows["columns"]]
    assert titles == ["name", "scene", "method", "size", "blur sigma (px)", "seconds"]
    assert read_page.tags.count("img") == 2
    assert read_page.tables["times"]
