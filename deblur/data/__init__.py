"""Data sets of blurred and sharp pictures, and their loaders."""
