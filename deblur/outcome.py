"""How a run has ended, in a file of its folder."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

NAME = "outcome.json"


@dataclass(frozen=True)
class Outcome:
    """How a run has ended, or that it goes on; one that was killed says so for ever."""

    status: Literal["running", "finished", "failed", "stopped"]
    overrides: list[str]
    """Its settings on the command line but for ckpt: a run that goes on is the same run."""
    score: float | None = None
    """The best validation PSNR in dB; None where there is none."""
    error: str = ""
    """What has gone wrong."""

    def write(self, folder: Path) -> None:
        """Write it into a run's folder, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{NAME}.part"
        part.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        os.replace(part, folder / NAME)


def read(folder: Path) -> Outcome | None:
    """Read that of a run; None where there is none. Raises ValueError for what is not one."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        return Outcome(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: does not tell how a run ended ({error})") from error
