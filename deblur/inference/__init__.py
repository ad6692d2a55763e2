"""Generators prepared for fast inference."""

from deblur.inference.precision import (
    Precision,
    adapt,
    adapt_like,
    has_int8,
    measure,
    name_arithmetic,
)

__all__ = ["Precision", "adapt", "adapt_like", "has_int8", "measure", "name_arithmetic"]
