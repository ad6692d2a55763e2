"""Generators made ready to restore."""

from deblur.inference.streamline import streamline

__all__ = ["streamline"]
