"""Restoration of pictures and videos, one or many, with a trained network."""
