"""The `deblur` command: imports only the module of the given verb, and runs it."""

import argparse
import os
import shlex
import sys
from importlib import import_module

from deblur.terminal import Terminated, allow_any_name, describe, printable, raising_signals

VERBS = {
    "restore": "restore pictures and videos; this verb can be left out",
    "web": "open a page that restores photos, with a slider between before and after",
    "serve": "serve an HTTP interface that restores photos, and the page",
    "look": "tell for each photo whether it is blurred, how, and whether restoring would help",
    "score": "score a folder of restored pictures against the sharp ones, under named protocols",
    "compare": "compare training runs: how their settings differ, and their best figures",
    "check-data": "check a folder of blurred and sharp pictures before training on it",
    "prepare": "unpack pairs into arrays that load fast",
    "convert": "convert a generator's weights, including published ones, to another format",
    "verify": "tell what a file of weights is, and check that it is intact and works",
    "doctor": "show this machine's hardware, the settings deblur chooses, and its speed",
    "frames": "make blurred pairs from a video, or from a folder of its frames, by averaging",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; return the exit status: 1 if the verb reports a fault, 2 for a wrong call."""
    verb, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the caller has closed it
            setattr(sys, name, open(os.devnull, "w"))
    try:
        status = _explain(verb, rest)
    finally:
        written = _flush()
    return status if written else 2


def _explain(verb: str, rest: list[str]) -> int:
    """Run one verb; print what went wrong in one line."""
    try:
        return _run(verb, rest)
    except BrokenPipeError:  # the reader of the output has closed it
        _mute()
        return 0
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {printable(describe(error))}", file=sys.stderr)
        return 2
    except Terminated as stop:
        print(f"stopped by {stop}", file=sys.stderr)
        return stop.status
    except KeyboardInterrupt:
        return 130


def _flush() -> bool:
    """Write what stdout still holds, while errors can be handled; return whether that worked."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _mute()
    except OSError as error:
        _mute()
        print(f"error: {printable(describe(error))}", file=sys.stderr)
        return False
    return True


def _mute() -> None:
    """Discard what is left in stdout, which the interpreter flushes once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(verb: str, rest: list[str]) -> int:
    if verb in ("-h", "--help"):
        print("usage: deblur PATH ... [-o OUT]\n       deblur VERB ...\n")
        print("\n".join(f"  {name:12}{does}" for name, does in VERBS.items()))
        print("\ndeblur VERB --help shows the options of a verb.")
        return 0
    if verb not in VERBS:
        verb, rest = "restore", [verb, *rest]
    command = import_module(f"deblur.commands.{verb.replace('-', '_')}")
    parser = argparse.ArgumentParser(f"deblur {verb}", description=command.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_arguments(parser)
    allow_any_name()

    from deblur.media.pillow_settings import read_any_picture

    with raising_signals(), read_any_picture():
        status: int = command.run(parser.parse_args(rest))
    return status


def edit() -> int:
    """Restore files in place, for programs that can call an editor but not pass options.

    The environment variable DEBLUR_EDIT holds options.
    """
    files = sys.argv[1:]
    if not files or files[0] in ("-h", "--help"):
        print("usage: deblur-edit FILE ...     # restores over FILE; options: DEBLUR_EDIT")
        return 0 if files else 2
    try:
        options = _split(os.environ.get("DEBLUR_EDIT", ""))
    except ValueError as error:
        print(f"error: DEBLUR_EDIT: {error}", file=sys.stderr)
        return 2
    worst = 0
    for file in files:
        status = main(["restore", *options, f"--edit={file}", f"--output={file}"])
        if status > 128:  # ended by a signal
            return status
        worst = max(worst, status)
    return worst


def _split(options: str) -> list[str]:
    """Split options as a shell does; on Windows backslashes are those of paths."""
    lexer = shlex.shlex(options, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    if os.name == "nt":
        lexer.escape = ""
    return list(lexer)


if __name__ == "__main__":
    sys.exit(main())
