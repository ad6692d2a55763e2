"""Evaluation: the loop, its results, tables, and the report."""
