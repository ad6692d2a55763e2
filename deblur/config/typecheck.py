"""Checks a config's plain values, and the classes they name, against type hints.

A bool is not accepted as an int, an int is accepted as a float, a list as a tuple, and no number
may be infinite.
"""

import difflib
import inspect
import math
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

MISSING = "???"
OF_HYDRA = {"_target_", "_partial_", "_convert_"}
NAMED = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
Parameters = dict[str, inspect.Parameter]
NAMES = {float: "a number", None: "null", NoneType: "null", Any: "anything"}


class Fault(NamedTuple):
    """A fault in a config's value."""

    key: str
    """The dotted key of the faulty value: the checked one, or one inside it."""
    told: str
    """A line that begins with the key."""


class SettingError(ValueError):
    """A setting is wrong; the message begins with `key`, its dotted name."""

    def __init__(self, key: str, told: str) -> None:
        super().__init__(told)
        self.key = key


def find_fault(key: str, value: Any, hint: Any) -> Fault | None:
    """Return the innermost fault in a config's value; None if there is none.

    key: its dotted name. value: plain and resolved. hint: the type that it should have. A mapping
    with a `_target_` is checked as the object that it describes, and its values against the
    signature of the class or function that is named.
    """
    if isinstance(value, dict) and "_target_" in value:
        return _fault_of_target(key, value, hint)
    if value == MISSING:
        return Fault(key, f"{key} is missing, expected {_name(hint)}")
    faults = [_fault_of_plain(key, value, option) for option in _options(hint)]
    if None in faults:
        return None
    deeper = (fault for fault in faults if fault and fault.key != key)
    return next(deeper, Fault(key, f"{key} is {_show(value)}, expected {_name(hint)}"))


def list_unknown(node: Any, key: str = "") -> list[str]:
    """List the keys in a plain config that the classes named there do not accept."""
    found: list[str] = []
    if isinstance(node, list):
        node = dict(enumerate(node))
    if not isinstance(node, dict):
        return found
    own = [str(one) for one in node if one not in OF_HYDRA] if "_target_" in node else []
    try:
        parameters, _ = _signature(pkgutil.resolve_name(str(node["_target_"]))) if own else ({}, {})
        found = [f"{key}{one}" for one in own if not _is_known(one, parameters)]
    except Exception:  # find_fault reports what cannot be imported
        pass
    for name, value in node.items():
        found += list_unknown(value, f"{key}{name}.")
    return found


def suggest(key: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown key: the name most like its last part, else all names."""
    names = [one for one in known if not one.startswith("_")]
    if similar := find_similar(key, names):
        return f"did you mean {similar}?"
    return f"expected {_either(names)}" if names else "expected none"


def find_similar(key: str, names: Iterable[str]) -> str:
    """Return a key with its last part replaced by the name most like it; "" if it is like none."""
    mark = "/" if "/" in key else "."
    parent, _, name = key.rpartition(mark)
    close = difflib.get_close_matches(name, names, 1)
    return mark.join(filter(None, (parent, *close))) if close else ""


def find_typo(name: str, known: Iterable[str]) -> str:
    """Return the known name of which `name` is probably a typo; "" if it is like none."""
    return next(iter(difflib.get_close_matches(name, known, 1, 0.8)), "")


def _fault_of_plain(key: str, value: Any, hint: Any) -> Fault | None:
    """Check a value against one type that is not a union; the items of lists and mappings, too."""
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    unfit = Fault(key, f"{key} is {_show(value)}, expected {_name(hint)}")
    if not isinstance(value, dict | list):
        return None if _is_of(value, hint) else unfit
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
    kinds = [arguments[-1] if arguments else Any] * len(pairs)
    if origin is tuple and isinstance(value, list):
        endless = arguments[-1:] in ((), (...,))
        kinds = [arguments[0] if arguments else Any] * len(pairs) if endless else list(arguments)
    elif not (origin is Any or not inspect.isclass(origin) or _is_kind(type(value), origin)):
        return unfit
    if len(kinds) != len(pairs):
        return unfit
    faults = (find_fault(f"{key}.{name}", one, kind) for (name, one), kind in zip(pairs, kinds))
    return next(filter(None, faults), None)


def _fault_of_target(key: str, node: dict[str, Any], hint: Any) -> Fault | None:
    """Check a node that describes an object: its type, and the values of its arguments."""
    own, partial = f"{key}._target_", node.get("_partial_") is True
    name = f"{own} is {node['_target_']}"
    try:
        target = pkgutil.resolve_name(str(node["_target_"]))
        parameters, hints = _signature(target)
    except Exception as error:  # an import runs a module, which can fail in any way
        cause = f"{type(error).__name__}: {error}"
        return Fault(own, f"{name}, expected a class that can be imported ({cause})")
    if not any(_gives(hints["return"], option, partial) for option in _options(hint)):
        return Fault(own, f"{name}{' with _partial_: true' * partial}, expected {_name(hint)}")
    values = {str(one): value for one, value in node.items() if one not in OF_HYDRA}
    for one, value in values.items():
        own = f"{key}.{one}"
        if not _is_known(one, parameters):
            told = f"{own} is not a setting of {target.__name__}, {suggest(own, parameters)}"
            return Fault(own, told)
        if fault := find_fault(own, value, hints.get(one, Any)):
            return fault
    for parameter in parameters.values():
        needed = parameter.default is parameter.empty and parameter.kind in NAMED
        if needed and not partial and parameter.name not in values:
            own, kind = f"{key}.{parameter.name}", _name(hints.get(parameter.name, Any))
            return Fault(own, f"{own} is missing, expected {kind}")
    return None


def _signature(target: Callable[..., Any]) -> tuple[Parameters, dict[str, Any]]:
    """Return a class's or function's parameters and their types; `return` has the result's type.

    A function with **kwargs also has the parameters of the class that it returns.
    """
    parameters = dict(inspect.signature(target).parameters)
    call = target.__init__ if inspect.isclass(target) else target
    try:
        hints = get_type_hints(call)
    except (NameError, TypeError):  # names that are imported for type checkers only
        hints = {}
    hints["return"] = target if inspect.isclass(target) else hints.get("return", Any)
    made = _options(hints["return"])[0]
    rest = [name for name, one in parameters.items() if one.kind is one.VAR_KEYWORD]
    if rest and inspect.isfunction(target) and inspect.isclass(made):
        del parameters[rest[0]]
        others, types = _signature(made)
        return {**others, **parameters}, {**types, **hints}
    return parameters, hints


def _is_known(name: str, parameters: Parameters) -> bool:
    """Return whether a class accepts a setting; a class with **kwargs accepts all but typos."""
    if name in parameters or name.startswith("_"):
        return name in parameters and not name.startswith("_")
    free = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    return free and not find_typo(name, parameters)


def _gives(given: Any, wanted: Any, partial: bool) -> bool:
    """Return whether a class's or function's result, or with `partial` its later one, fits."""
    if partial:
        later = get_args(wanted)[-1:] if get_origin(wanted) is Callable else ()
        return any(_gives(given, option, False) for one in later for option in _options(one))
    kind = get_origin(wanted) or wanted
    if kind in (Any, object):
        return False  # else an untrusted config could build any class here
    if _is_protocol(kind):
        names = [name for name, value in vars(kind).items() if inspect.isfunction(value)]
        named = [name for name in names if not name.startswith("_")]
        return all(hasattr(given, name) for name in named)
    return all(_is_kind(get_origin(one) or one, kind) for one in _options(given))


def _is_of(value: Any, hint: Any) -> bool:
    """Return whether a plain value, not a list or mapping, is of a type."""
    kind = get_origin(hint) or hint
    if isinstance(value, float) and not math.isfinite(value):
        return False
    if kind is Literal:
        return any(type(value) is type(one) and value == one for one in get_args(hint))
    if kind is float:
        return type(value) in (int, float)
    if kind is None or value is None:
        return kind in (None, NoneType, Any)
    if isinstance(value, bool | str):
        return kind in (type(value), Any) or not inspect.isclass(kind)
    if not inspect.isclass(kind) or kind is Any:
        return True
    return not _is_protocol(kind) and isinstance(value, kind)


def _options(hint: Any) -> tuple[Any, ...]:
    """Return the types of a union; for another type, only that."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _is_protocol(kind: Any) -> bool:
    return bool(getattr(kind, "_is_protocol", False))


def _is_kind(given: Any, wanted: Any) -> bool:
    classes = inspect.isclass(given) and inspect.isclass(wanted) and not _is_protocol(wanted)
    return classes and issubclass(given, wanted)


def _name(hint: Any) -> str:
    """Describe a type in the words of a config's users."""
    kind, arguments = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return _either(dict.fromkeys(map(_name, arguments)))
    if kind is Literal:
        return _either(map(str, arguments))
    if kind is tuple and arguments:
        return f"a list of {len(arguments)}, each {_name(arguments[0])}"
    if kind is Callable and arguments:
        return f"a class with _partial_: true that returns {_name(arguments[-1])}"
    if _is_kind(kind, Mapping):
        return f"a mapping to {_name(arguments[-1])}" if arguments else "a mapping"
    if arguments and _is_kind(list, kind):
        return f"a list of {_name(arguments[0])}"
    return NAMES.get(kind) or str(getattr(kind, "__name__", hint))


def _show(value: Any) -> str:
    return "null" if value is None else repr(value)


def _either(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last
