"""Writes the list of all nodes into nodes/README.md: `python -m nodes.catalogue`. A test holds the two together."""

from pathlib import Path

from nodegraph.registry import Registry
from nodegraph.spec import Input, NodeSpec

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- nodes: begin -->", "<!-- nodes: end -->"


def markdown(specs: list[NodeSpec]) -> str:
    """All nodes by category: what each does, its inputs with their defaults, its outputs."""
    lines: list[str] = []
    category = ""
    for spec in sorted(specs, key=lambda spec: spec.id):
        if spec.category != category:
            category = spec.category
            lines += ["", f"### {category}", "", "| node | what it does | inputs | outputs |", "|--|--|--|--|"]
        inputs = ", ".join(_input(item) for item in spec.inputs)
        outputs = ", ".join(f"{out.name}: {'list of ' if out.many else ''}{_type(out.type)}" for out in spec.outputs)
        lines.append(f"| **{spec.title}** `{spec.id}` | {_cell(spec.summary)} | {_cell(inputs)} | {_cell(outputs)} |")
    return "\n".join(lines).strip() + "\n"


def _input(item: Input) -> str:
    if item.is_port:
        return f"{item.name}: {'many ' if item.many else ''}{_type(item.type)}{' (optional)' if not item.is_required else ''}"
    default = "" if item.is_required or item.default in (None, "") else f" = {item.default}"
    return f"{item.name}{default}"


def _type(name: str) -> str:
    return "any" if name == "*" else name


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def with_list(readme: str, specs: list[NodeSpec]) -> str:
    """The README with the list of nodes as it is today."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{markdown(specs)}\n{END}{after}"


def shipped() -> list[NodeSpec]:
    """The specs of the nodes that ship, without packs."""
    return [spec for spec in Registry.load(plugins=False).specs.values() if "/" in spec.id]


if __name__ == "__main__":
    README.write_text(with_list(README.read_text(encoding="utf-8"), shipped()), encoding="utf-8")
