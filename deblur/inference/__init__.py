"""Generators made ready to restore."""

from deblur.inference.precision import Precision, adapt, has_int8, measure, name_arithmetic

__all__ = ["Precision", "adapt", "has_int8", "measure", "name_arithmetic"]
