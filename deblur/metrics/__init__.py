"""Numbers to report: named protocols, a file each."""

from deblur.metrics.comparison import Comparison
from deblur.metrics.protocol import FIGURES, PROTOCOLS, Protocol, check_size, choose

__all__ = ["FIGURES", "PROTOCOLS", "Comparison", "Protocol", "check_size", "choose"]
