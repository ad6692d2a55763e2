"""Evaluation: the loop, its results, the tables and the report."""
