"""Read a node function's signature and docstring into a NodeSpec, the plain data that canvas,
inspector, validator and file format share. Nothing here runs a node."""

from __future__ import annotations

import builtins
import inspect
import math
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from nodegraph.expansion import Expansion
from nodegraph.graph import SUBGRAPH
from nodegraph.node import (
    Advanced,
    Color,
    Context,
    Declaration,
    Drawing,
    File,
    Labels,
    Lazy,
    PassNumber,
    Port,
    Randomize,
    Range,
    Text,
    Unit,
)

VALUE_TYPES: dict[type, str] = {bool: "bool", int: "int", float: "float", str: "str", Path: "path"}
VALUE_NAMES = frozenset(VALUE_TYPES.values())
ANY = "*"


def accepts(wanted: str, offered: str) -> bool:
    """Whether an input of type `wanted` takes a link of type `offered`. Whole numbers pass as fractions, text as a path and back."""
    return wanted == offered or ANY in (wanted, offered) or (wanted, offered) in _CONVERTS


_CONVERTS = {("float", "int"), ("path", "str"), ("str", "path")}


class _Required:
    """The default of an input that has none. A word of its own, because None is a default too."""

    def __repr__(self) -> str:
        return "required"

    def __reduce__(self) -> str:
        return "REQUIRED"

    def __bool__(self) -> bool:
        return False


REQUIRED = _Required()
Marker = TypeVar("Marker")


class SpecError(TypeError):
    """A function cannot be a node as it is declared. Says which function and why."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input: a port to be linked, or a control with a value that a link may override.

    `type` is "int", "float", "bool", "str", "path", the name of a class ("Image"), or "*" for any type; then `variable` names
    the type variable, which all inputs and outputs of the node that share it resolve alike.
    """

    name: str
    type: str
    help: str = ""
    default: Any = REQUIRED
    optional: bool = False
    many: bool = False
    lazy: bool = False
    choices: tuple[Any, ...] = ()
    markers: tuple[Any, ...] = ()
    variable: str = ""

    @property
    def is_port(self) -> bool:
        """Whether it takes a link only, because there is no control for its type."""
        return self.type not in VALUE_NAMES or self.many

    @property
    def is_required(self) -> bool:
        return self.default is REQUIRED

    @property
    def label(self) -> str:
        """The name in words: "start_step" is "Start step"."""
        return self.name.replace("_", " ").capitalize()

    def marker(self, kind: builtins.type[Marker]) -> Marker | None:
        """The marker of this kind, if the author gave one."""
        return next((m for m in self.markers if isinstance(m, kind)), None)

    @property
    def range(self) -> Range | None:
        return self.marker(Range)

    @property
    def text(self) -> Text | None:
        return self.marker(Text)

    @property
    def file(self) -> File | None:
        return self.marker(File)

    def choice_label(self, choice: Any) -> str:
        """What to show for one of the choices."""
        labels = self.marker(Labels)
        return labels.label(choice) if labels else str(choice)

    @property
    def unit(self) -> str:
        unit = self.marker(Unit)
        return unit.name if unit else ""

    @property
    def is_color(self) -> bool:
        return self.marker(Color) is not None

    @property
    def is_drawing(self) -> bool:
        return self.marker(Drawing) is not None

    @property
    def is_advanced(self) -> bool:
        return self.marker(Advanced) is not None

    @property
    def is_pass_number(self) -> bool:
        return self.marker(PassNumber) is not None

    @property
    def is_randomized(self) -> bool:
        return self.marker(Randomize) is not None


@dataclass(frozen=True, slots=True)
class Output:
    """One output. `many` means a list: a node that takes one such thing runs once for each."""

    name: str
    type: str
    many: bool = False
    variable: str = ""
    help: str = ""

    @property
    def label(self) -> str:
        return self.name.replace("_", " ").capitalize()


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """What a node is, seen from outside: plain data that pickles and needs no torch."""

    id: str
    version: int
    title: str
    category: str
    summary: str
    help: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    sink: bool = False
    cache: bool = True
    source: str = ""
    """"module:function", so that a worker can import it."""
    context: str | None = None
    """The parameter that takes the Context, if the node wants one."""
    keywords: tuple[str, ...] = ()
    pack: str = ""
    """Which package the node comes from; empty for those that ship with the program."""
    code: str = ""
    """A word for the source of the pack: its results are kept by it, so an edited node makes them anew."""
    by_name: Mapping[str, Input] = field(init=False, repr=False, compare=False)
    outputs_by_name: Mapping[str, Output] = field(init=False, repr=False, compare=False)
    lists: frozenset[str] = field(init=False, repr=False, compare=False)
    """The outputs that give a list."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {item.name: item for item in self.inputs})
        object.__setattr__(self, "outputs_by_name", {item.name: item for item in self.outputs})
        object.__setattr__(self, "lists", frozenset(item.name for item in self.outputs if item.many))


@dataclass(frozen=True, slots=True)
class PortType:
    """A type that travels along links."""

    name: str
    summary: str = ""
    color: str = ""
    shape: str = ""
    carries_family: bool = False


def read_spec(function: Callable[..., Any], pack: str = "", port_types: dict[str, PortType] | None = None) -> NodeSpec:
    """Derive the NodeSpec of a function that @node has marked; note the port types met in `port_types`.

    Raises:
        SpecError: An input or the result has no type, or a type that cannot be a port; the docstring documents an unknown input.
    """
    declared: Declaration = function.__node__  # type: ignore[attr-defined]
    where = _where(function)
    if not re.fullmatch(r"[a-z0-9_.-]+(/[a-z0-9_.-]+)+", declared.id):
        raise SpecError(f"{where}: the id '{declared.id}' must look like 'category/name', in lower case")
    if declared.id.startswith(SUBGRAPH):
        raise SpecError(f"{where}: ids that begin with '{SUBGRAPH}' are for the subgraphs of a graph")
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise SpecError(f"{where}: {error}. Import the types of inputs at run time, not under TYPE_CHECKING") from error
    if "return" not in hints:
        raise SpecError(f"{where} needs a return type: it becomes the node's outputs")
    summary, help, about, returns = _parse_docstring(function)
    found: dict[str, PortType] = {} if port_types is None else port_types
    inputs: list[Input] = []
    context = None
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise SpecError(f"{where}: '{parameter.name}' must be named; use list[...] for many links")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise SpecError(f"{where}: '{parameter.name}' must be taken by name too; leave out the '/'")
        if parameter.name not in hints:
            raise SpecError(f"{where} needs a type for '{parameter.name}'")
        if hints[parameter.name] is Context:
            context = parameter.name
        else:
            inputs.append(_read_input(where, parameter, hints[parameter.name], about.pop(parameter.name, ""), found))
    if about:
        raise SpecError(f"{where} documents unknown inputs: {', '.join(about)}")
    outputs = _read_outputs(where, hints["return"], returns, found)
    return NodeSpec(
        id=declared.id,
        version=declared.version,
        title=declared.title or function.__name__.strip("_").replace("_", " ").capitalize(),
        category=declared.id.rpartition("/")[0],
        summary=summary,
        help=help,
        inputs=tuple(inputs),
        outputs=outputs,
        sink=declared.sink,
        cache=declared.cache,
        source=f"{function.__module__}:{function.__qualname__}",
        context=context,
        keywords=declared.keywords,
        pack=pack,
    )


def _read_input(where: str, parameter: inspect.Parameter, hint: Any, help: str, found: dict[str, PortType]) -> Input:
    markers: list[Any] = []
    choices: tuple[Any, ...] = ()
    optional = many = lazy = False
    while True:  # unwrap Annotated, Optional, list and Lazy in whatever order they were written
        origin = get_origin(hint)
        if origin is Annotated:
            hint, *extra = get_args(hint)
            markers += extra
        elif origin in (Union, UnionType):
            rest = [t for t in get_args(hint) if t is not NoneType]
            if len(rest) != 1:
                raise SpecError(f"{where}: '{parameter.name}' may be one type or None; several types are ambiguous as a port")
            hint, optional = rest[0], True
        elif origin is list:
            if many:
                raise SpecError(f"{where}: '{parameter.name}' is a list of lists; links bring one list")
            (hint,), many = get_args(hint), True
        elif origin is Lazy:
            (hint,), lazy = get_args(hint), True
        else:
            break
    if get_origin(hint) is Literal:
        choices = get_args(hint)
    elif isinstance(hint, type) and issubclass(hint, Enum):
        choices = tuple(member.value for member in hint)
    if choices or (isinstance(hint, type) and issubclass(hint, Enum)):
        if len({type(choice) for choice in choices}) != 1 or type(choices[0]) not in VALUE_TYPES:
            raise SpecError(f"{where}: the choices of '{parameter.name}' must all be texts, or all whole numbers")
        hint = type(choices[0])
    type_name, variable = _type_name(where, hint, found)
    default = REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default
    if isinstance(default, Enum):
        default = default.value
    elif isinstance(default, Path):
        default = default.as_posix()
    if optional and default is REQUIRED:
        default = None
    made = Input(parameter.name, type_name, help, default, optional, many, lazy, choices, tuple(markers), variable)
    _check_input(where, made)
    return made


_MARKED = {
    Range: ("int", "float"), Text: ("str",), Color: ("str",), Drawing: ("str",), File: ("path",), Randomize: ("int",), PassNumber: ("int",),
}  # fmt: skip
_PYTHON = {name: kind for kind, name in VALUE_TYPES.items()}


def _where(function: Callable[..., Any]) -> str:
    """A function as its author finds it: "fade() in fade.py, line 7"."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    place = f"{Path(code.co_filename).name}, line {code.co_firstlineno}" if code else function.__module__
    return f"{getattr(function, '__qualname__', function)}() in {place}"


def _check_input(where: str, item: Input) -> None:
    """What an author would otherwise learn from an artist: a marker that does nothing, a default that is refused."""
    for marker in item.markers:
        fitting = _MARKED.get(type(marker))
        if fitting is not None and item.type not in fitting:
            raise SpecError(f"{where}: {type(marker).__name__} says nothing about '{item.name}', which is of type {item.type}")
    limits = item.range
    if limits is not None and not limits.min <= limits.max:
        raise SpecError(f"{where}: the Range of '{item.name}' goes from {limits.min} to {limits.max}")
    default = item.default
    if default is REQUIRED or default is None:
        return
    if item.choices:
        if not any(type(choice) is type(default) and choice == default for choice in item.choices):
            raise SpecError(f"{where}: the default of '{item.name}' is {default!r}, which is not among its choices")
    elif item.is_port:
        if not item.many:
            raise SpecError(f"{where}: '{item.name}' takes a link, so its default can only be None")
    else:
        kinds = (int, float) if item.type == "float" else (str,) if item.type == "path" else (_PYTHON[item.type],)
        if not isinstance(default, kinds) or (isinstance(default, bool) and item.type != "bool"):
            raise SpecError(f"{where}: the default of '{item.name}' is {default!r}, which is not of type {item.type}")
        if isinstance(default, float) and not math.isfinite(default):
            raise SpecError(f"{where}: the default of '{item.name}' must be a finite number")
        if limits is not None and isinstance(default, (int, float)) and not limits.min <= default <= limits.max:
            raise SpecError(f"{where}: the default of '{item.name}' is {default}, outside of its Range")


def _read_outputs(where: str, hint: Any, returns: str, found: dict[str, PortType]) -> tuple[Output, ...]:
    if get_origin(hint) is Expansion:
        (hint,) = get_args(hint)
    if hint is None or hint is NoneType:
        return ()
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        named = typing.get_type_hints(hint, include_extras=True)
        return tuple(_read_output(where, name, named[name], "", found) for name in hint._fields)
    return (_read_output(where, "", hint, returns, found),)


def _read_output(where: str, name: str, hint: Any, help: str, found: dict[str, PortType]) -> Output:
    many = False
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) is list:
        (hint,), many = get_args(hint), True
    if get_origin(hint) is Literal:
        hint = type(get_args(hint)[0])
    type_name, variable = _type_name(where, hint, found)
    if not name:
        own = getattr(hint, "__port__", Port()).name
        name = own or ("value" if type_name in VALUE_NAMES or variable else re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type_name).lower())
    return Output(name, type_name, many, variable, help)


def _type_name(where: str, hint: Any, found: dict[str, PortType]) -> tuple[str, str]:
    if isinstance(hint, TypeVar):
        return ANY, hint.__name__
    if hint is Any:
        return ANY, ""
    if hint in VALUE_TYPES:
        return VALUE_TYPES[hint], ""
    if not isinstance(hint, type) or hint in _CONTAINERS:
        raise SpecError(f"{where}: {hint} cannot be a port; use a class, a number, text or a choice")
    if hint.__name__ not in found:
        port = getattr(hint, "__port__", Port())
        summary = (inspect.getdoc(hint) or "").partition("\n")[0]
        found[hint.__name__] = PortType(hint.__name__, summary, port.color, port.shape, port.carries_family)
    return hint.__name__, ""


_CONTAINERS = (list, tuple, dict, set, frozenset, object, NoneType)


def _parse_docstring(function: Callable[..., Any]) -> tuple[str, str, dict[str, str], str]:
    """A docstring's first line, its body, its Args, and its Returns."""
    text = inspect.getdoc(function) or ""
    parts = re.split(r"^(Args|Returns|Raises|Source):[ ]*\n", text, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    about: dict[str, str] = {}
    last = ""
    for line in inspect.cleandoc("\n" + sections.get("Args", "")).splitlines():
        if match := re.match(r"(\w+):(?:\s+(.*))?$", line):
            last = match[1]
            about[last] = (match[2] or "").strip()
        elif line.strip() and last:
            about[last] = f"{about[last]} {line.strip()}".strip()
    summary, _, body = parts[0].strip().partition("\n")
    return summary.strip(), body.strip(), about, " ".join(sections.get("Returns", "").split())
