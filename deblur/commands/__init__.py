"""The verbs of the `deblur` command: a file each, with `add_arguments` and `run`."""
