"""Numbers to report: named protocols, a file each."""

from deblur.metrics.wang import WangRGB, wang_rgb

__all__ = ["WangRGB", "wang_rgb"]
