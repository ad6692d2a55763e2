"""Optimizers that PyTorch lacks, a file each."""
