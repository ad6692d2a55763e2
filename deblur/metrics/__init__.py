"""Metrics: named protocols, each in its own file."""

from deblur.metrics.comparison import Comparison
from deblur.metrics.protocol import FIGURES, PROTOCOLS, Protocol, check_size, choose

__all__ = ["FIGURES", "PROTOCOLS", "Comparison", "Protocol", "check_size", "choose"]
