"""A run's settings: read from the command line, checked, and made into objects."""
