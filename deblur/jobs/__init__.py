"""Runs: started, isolated, swept, resumed, and their status."""
