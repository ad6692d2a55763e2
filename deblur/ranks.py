"""The processes that train one pair of networks together."""

import os

RANKS = ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK")
"""In which torchrun, Slurm and Lightning tell a process which one it is."""


def is_first() -> bool:
    """Say whether this process is the one that writes a run's files; one that is alone is."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)
