"""Reading and writing weights, with a module for each format."""

from deblur.checkpoints.generator_file import (
    Generator,
    build_generator,
    fill,
    fill_parts,
    load_generator,
    read_generator,
    save_generator,
)

__all__ = [
    "Generator",
    "build_generator",
    "fill",
    "fill_parts",
    "load_generator",
    "read_generator",
    "save_generator",
]
