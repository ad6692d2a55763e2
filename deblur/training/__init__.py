"""Training: what goes along with a run of Lightning."""
