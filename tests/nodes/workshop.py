"""A place to run graphs of real nodes in: folders of its own, the real registry and executor."""

from pathlib import Path

from nodegraph import graphfile
from nodegraph.cache import Cache, DiskTier
from nodegraph.executor import Outcome, execute
from nodegraph.folders import Folders
from nodegraph.graph import Graph, Link, Node
from nodegraph.messages import Run
from nodegraph.plan import check, make_plan
from nodegraph.registry import Registry


class Workshop:
    """Runs graphs in a folder of its own and keeps what was told."""

    def __init__(self, home: Path) -> None:
        self.registry = Registry.load(Folders(home, home / "cache", home / "output"), plugins=False)
        self.folders = self.registry.folders
        self.folders.input.mkdir(parents=True)
        self.cache = Cache(2**28, DiskTier(home / "cache", 2**28))
        self.events: list[object] = []

    def run(self, graph: Graph, *targets: str) -> Outcome:
        self.events.clear()
        run = Run("job", graphfile.dumps(graph))
        return execute(make_plan(graph, self.registry, targets or None), self.registry, run, self.events.append, self.cache, keep=True)

    def problems(self, graph: Graph) -> list[str]:
        """What `nodegraph check` says, before anything runs."""
        return [problem.message for problem in check(graph, self.registry)]

    def told(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]


def graph(nodes: dict[str, tuple[str, dict]], *links: str) -> Graph:
    """Nodes as {id: (type, values)}, links as "source.output > target.input"."""
    made = Graph().with_nodes(Node(key, kind, values) for key, (kind, values) in nodes.items())
    for link in links:
        source, target = (end.strip().split(".") for end in link.split(">"))
        made = made.with_link(Link(source[0], source[1], target[0], target[1]), many=target[1] in ("images", "tiles", "items", "labels", "conditionings"))
    return made
