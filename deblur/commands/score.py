"""Score a folder of restored pictures against the sharp ones, under named protocols.

deblur score results/mine GOPRO_Large/test
deblur score results/mine sharp/ --protocol wang-rgb,matlab-rgb --csv rows.csv
deblur score results/mine GOPRO_Large/test --protocol all --published --data gopro

No model is needed, so that results of any program can be put into one table. SHARP is a folder of
sharp pictures, or a data set as it is unpacked. A restored picture belongs to the sharp one of the
same name: the same path (folders such as sharp or test left out), the same with - or _ between
scene and frame, or the same file name if only one has it. Both must be whole frames, except for
protocols that resize or crop. The last line has the means of the first protocol, and the number of
pictures that are identical to their sharp ones, if there are any.
"""

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from deblur.atomic import check_target, replacing_text, write_text
from deblur.commands.numbers import whole
from deblur.evaluation.loop import rehearse
from deblur.evaluation.matching import Truth, match
from deblur.evaluation.results import Result, summarize_method, to_json
from deblur.evaluation.tables import describe, side_by_side, table3, table4, tell_identical
from deblur.media.images import read, read_size
from deblur.metrics import FIGURES, PROTOCOLS, Comparison, Protocol, check_size, choose
from deblur.pair import encode
from deblur.terminal import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add = parser.add_argument
    add("restored", type=Path, metavar="RESTORED", help="a folder of restored pictures")
    add("sharp", type=Path, metavar="SHARP", help="a folder of sharp pictures, or a data set")
    add(
        "--protocol",
        action="append",
        metavar="NAMES",
        help=f"some of {', '.join(PROTOCOLS)}, li-2024 (two of them) and all (those that require "
        "nothing else); default wang-rgb",
    )
    add("--name", help="what to call the results (default the folder's name)")
    add("--csv", type=Path, metavar="FILE", help="write a row for each picture and protocol")
    add("--json", type=Path, metavar="FILE", help="write the means, intervals and protocols")
    add("--published", action="store_true", help="print the paper's Table 4 with these results")
    add("--data", default="", help="what the pictures are of, for Table 4 (gopro)")
    cores = os.cpu_count() or 1
    add("--workers", type=whole(1), default=cores, help="threads (default %(default)s)")


def run(options: argparse.Namespace) -> int:
    """Score, print, and return 1 where sharp pictures have no restored one."""
    for file in filter(None, (options.csv, options.json)):
        check_target(file)
    protocols = choose(",".join(options.protocol or ["wang-rgb"]))
    matched, missing = match(options.restored, options.sharp)
    rehearse(protocols, poses=bool(matched[0][2].poses))
    for *_, truth in matched:
        check_size(protocols, read_size(truth.file), truth.file)
    name = printable(options.name or options.restored.resolve().name)
    torch.set_num_threads(1)  # the cores have a picture each
    with ThreadPoolExecutor(max(1, options.workers)) as pool:
        scored = pool.map(partial(_score, name, protocols), matched)
        quiet = not sys.stderr.isatty()
        bar = track(scored, "scoring", len(matched), disable=quiet, transient=True)
        results = [result for results in bar for result in results]
    summary = {
        protocol.name: {name: summarize_method([r for r in results if r.protocol == protocol.name])}
        for protocol in protocols
    }
    print(f"{len(matched)} pairs of {len({result.scene for result in results})} scenes\n")
    for protocol, tables in summary.items():
        print("\n".join([describe(protocol), "", table3(tables), *tell_identical(tables), ""]))
    if len(protocols) > 1:
        print(f"the same pictures\n\n{side_by_side(summary)}\n")
    if options.published:
        print(table4(summary, options.data, len(matched), published=True) + "\n")
    if options.csv:
        _write_rows(options.csv, results)
    if options.json:
        document: dict[str, Any] = {"restored": str(options.restored), "sharp": str(options.sharp)}
        document |= {"pairs": len(matched), "protocols": to_json(summary)}
        text = json.dumps(document, indent=2)
        write_text(options.json, text + "\n")
    if missing:
        some = ", ".join(printable(truth.names[0]) for truth in missing[:3])
        print(f"warning: {len(missing)} sharp pictures have no restored one: {some}")
    means = summary[protocols[0].name][name]
    figures = (
        f"{figure}={means[figure].get('mean', means[figure].get('count')):.{digits}f}"
        for figure in protocols[0].figures
        for digits in [FIGURES[figure].digits]
    )
    identical = int(means.get("psnr", {}).get("identical", 0))
    print("mean", *figures, f"pairs={len(matched)}", *[f"identical={identical}"] * bool(identical))
    return 1 if missing else 0


@torch.inference_mode()
def _score(method: str, protocols: list[Protocol], item: tuple[str, Path, Truth]) -> list[Result]:
    """Score one picture under each protocol."""
    name, file, truth = item
    restored, sharp = _load(file), _load(truth.file)
    compared: dict[object, Comparison] = {}
    results = []
    for protocol in protocols:
        if protocol.view not in compared:
            seen, true = _view(protocol, restored, sharp, file, truth.file)
            compared[protocol.view] = Comparison(seen, true, _poses(truth))
        pair = compared[protocol.view]
        scores = {key: float(value[0]) for key, value in protocol.score(pair).items()}
        size = (pair.sharp.shape[-1], pair.sharp.shape[-2])
        results.append(Result(name, truth.scene, method, protocol.name, size, None, scores))
    return results


def _view(
    protocol: Protocol, restored: Tensor, sharp: Tensor, file: Path, truth: Path
) -> tuple[Tensor, Tensor]:
    """Show a protocol what it looks at; what was restored in that size already is left as it is."""
    true = protocol.view(sharp)
    if restored.shape == sharp.shape:
        return protocol.view(restored), true
    if restored.shape == true.shape:
        return restored, true
    (h, w), (height, width) = restored.shape[-2:], sharp.shape[-2:]
    raise ValueError(f"{file} is {w}x{h}, but {truth} is {width}x{height}")


def _poses(truth: Truth) -> Iterator[Tensor] | None:
    return map(_load, truth.poses) if truth.poses else None


def _load(file: Path) -> Tensor:
    return encode(torch.from_numpy(read(file)).permute(2, 0, 1)[None])


def _write_rows(path: Path, results: list[Result]) -> None:
    scored = {name for result in results for name in result.scores}
    figures = [name for name in FIGURES if name in scored]
    with replacing_text(path) as file:
        writer = csv.writer(file)
        writer.writerow(["name", "scene", "protocol", "width", "height", *figures])
        for r in results:
            cells = [r.scores.get(name) for name in figures]
            writer.writerow([r.name, r.scene, r.protocol, *r.size, *cells])
