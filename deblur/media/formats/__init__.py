"""Formats of picture files, a file a format: how each is read and written with nothing lost."""
