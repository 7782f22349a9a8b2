"""What the keys and menus of the canvas do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF

from nodegraph.graph import Graph, Link, Mode, Rect
from nodegraph.subgraphs import gathered, scattered
from ui.canvas import arranging, clipboard, edits, inside
from ui.canvas.anatomy import shows_advanced
from ui.canvas.arrange import Edge, aligned, distributed
from ui.canvas.values import in_words

if TYPE_CHECKING:
    from ui.canvas.view import GraphView

EDGES: dict[str, Edge] = {"left": "left", "right": "right", "top": "top", "bottom": "bottom", "center": "center", "middle": "middle"}
MODES: dict[str, tuple[str, Mode]] = {"mute": ("Mute", "muted"), "bypass": ("Bypass", "bypassed")}


class Commands:
    """One method a key; `trigger` finds it by the action's id."""

    def __init__(self, view: GraphView) -> None:
        self.view = view
        self.scene = view.graph_scene
        self._home = ""  # the node whose links are gone through

    def trigger(self, action: str) -> bool:
        name = action.removeprefix("canvas.")
        if name.startswith("align_"):
            return self._align(EDGES[name.removeprefix("align_")])
        if name.startswith("nudge_"):
            return self._nudge(name.removeprefix("nudge_"))
        if name in MODES:
            return self._mode(name)
        method: Callable[[], bool | None] | None = getattr(self, f"do_{name}", None)
        if method is None:
            raise KeyError(f"The canvas knows no action '{action}'.")
        return method() is not False

    # -- what they act on

    @property
    def graph(self) -> Graph:
        return self.view.document.graph

    @property
    def chosen(self) -> frozenset[str]:
        return self.view.document.selection

    def chosen_nodes(self) -> list[str]:
        """Ids of the selected nodes, from left to right; the members of a selected group count too."""
        graph, found = self.graph, set(self.chosen)
        for name in self.chosen & graph.groups.keys():
            found |= self.scene.members_of(name)
        return sorted((n for n in found if n in graph.nodes), key=lambda n: (self.scene.nodes[n].x(), self.scene.nodes[n].y()))

    def boxes(self, ids: Iterable[str] | None = None) -> dict[str, Rect]:
        found: dict[str, Rect] = {}
        for items in (self.scene.nodes, self.scene.notes, self.scene.groups):
            for name, item in items.items():
                if ids is None or name in ids:
                    r = item.rect()
                    found[name] = (r.x(), r.y(), r.width(), r.height())
        return found

    # -- clipboard

    def do_copy(self) -> bool:
        return clipboard.copy(self.view, self.chosen | frozenset(self.chosen_nodes()))

    def do_cut(self) -> bool:
        return self.do_copy() and self.do_delete()

    def do_paste(self) -> bool:
        return clipboard.paste(self.view)

    def do_paste_linked(self) -> bool:
        return clipboard.paste(self.view, linked=True)

    def do_duplicate(self, with_inputs: bool = False) -> bool:
        ids = set(self.chosen) | set(self.chosen_nodes())
        if not ids:
            return False
        ports, made = self.scene.ports, dict[str, str]()

        def change(graph: Graph) -> Graph:
            graph, names = edits.duplicated(graph, ports, ids, 32, 32, with_inputs)
            made.update(names)
            return graph

        if self.view.edit("Duplicate", change):
            self.view.document.select(made.values())
        return True

    def do_duplicate_linked(self) -> bool:
        return self.do_duplicate(with_inputs=True)

    def do_delete(self, heal: bool = False) -> bool:
        ids, links, ports = self.chosen, self.view.selected_links, self.scene.ports
        if not ids and not links:
            return False
        self.view.select_links(())
        name = self.open_name
        if name is None:
            self.view.edit("Delete", lambda graph: edits.deleted(graph, ports, ids, links, heal))
        else:
            inner = edits.deleted(self.graph, ports, ids, links, heal)
            self.view.edit_root("Delete", lambda root: inside.tidied(inside.with_inner(root, name, inner), name))
        if any(name in self.graph.nodes for name in ids):
            self.view.message.emit("Pinned nodes stay. Press P to unpin them first.")
        return True

    def do_delete_healing(self) -> bool:
        return self.do_delete(heal=True)

    # -- add

    def do_search(self) -> None:
        self.view.node_search_requested.emit(self.view.cursor_place(), None)

    def do_add_note(self) -> None:
        place = self.view.cursor_place()
        made: list[str] = []

        def change(graph: Graph) -> Graph:
            graph, name = edits.with_note_at(graph, (edits.snapped(place.x(), 8), edits.snapped(place.y(), 8)))
            made.append(name)
            return graph

        if self.view.edit("Add a note", change):
            self.view.document.select(made)
            self.view.editor.edit_note(made[0])

    def do_group(self) -> bool:
        names = self.chosen_nodes()
        around = self.scene.places.content_rect(set(names) | (self.chosen & self.graph.notes.keys()))
        if around.isEmpty():
            return False
        made: list[str] = []

        def change(graph: Graph) -> Graph:
            graph, name = edits.grouped(graph, names, (around.x(), around.y(), around.width(), around.height()))
            made.append(name)
            return graph

        if self.view.edit("Group", change):
            self.view.document.select(made)
            self.view.editor.edit_title(made[0])
        return True

    def do_ungroup(self) -> bool:
        ids = self.chosen
        instances = [n for n in ids if n in self.graph.nodes and self.graph.nodes[n].subgraph]
        if instances and not ids & self.graph.groups.keys():
            return self._scatter(instances)
        return self.view.edit("Ungroup", lambda graph: edits.ungrouped(graph, ids)) if ids else False

    def _scatter(self, instances: list[str]) -> bool:
        """Put the nodes of subgraphs in their place."""
        specs, name, made = self.view.document.specs, self.open_name, set[str]()

        def change(root: Graph) -> Graph:
            for instance in instances:
                root, new = scattered(root, instance, specs) if name is None else inside.scattered_inside(root, name, instance, specs)
                made.update(new)
            return root

        if self.view.edit_root("Unpack subgraph", change):
            self.view.document.select(made)
        return True

    def do_to_subgraph(self) -> bool:
        names = self.chosen_nodes()
        if not names:
            return False
        specs, name, made = self.view.document.specs, self.open_name, list[str]()

        def change(root: Graph) -> Graph:
            if name is None:
                root, instance = gathered(root, names, "Subgraph", specs)
            else:
                root, instance = inside.gathered_inside(root, name, names, "Subgraph", specs)
            made.append(instance)
            return root

        if self.view.edit_root("Make a subgraph", change):
            self.view.document.select(made)
            self.view.editor.edit_title(made[0])
        return True

    @property
    def open_name(self) -> str | None:
        """The definition whose inside is shown; None at the top."""
        return inside.open_name(self.view.document.root, self.graph)

    def promote(self, end: inside.End) -> bool:
        """Show an inner port or value on the subgraph around it, or take it off again."""
        name = self.open_name
        if name is None:
            return False
        if end in inside.ends_of(self.view.document.root.subgraphs[name]):
            return self.view.edit_root("Take off the subgraph", lambda root: inside.demoted(root, name, [end]))
        return self.view.edit_root("Show on the subgraph", lambda root: inside.promoted(root, name, end))

    def rename_outside(self, end: inside.End, words: str) -> bool:
        """Call what the subgraph shows of an inner port by another name."""
        name = self.open_name
        return name is not None and self.view.edit_root("Rename on the subgraph", lambda root: inside.renamed(root, name, end, words))

    # -- select

    def do_select_all(self) -> None:
        graph = self.graph
        self.view.document.select({*graph.nodes, *graph.groups, *graph.notes})

    def do_select_none(self) -> None:
        self.view.document.select(())
        self.view.select_links(())

    def do_select_invert(self) -> None:
        self.view.document.select(self.graph.nodes.keys() - self.chosen)

    def do_select_upstream(self) -> None:
        self.view.document.select(self.chosen | self.graph.upstream(*self.chosen_nodes()))

    def do_select_downstream(self) -> None:
        self.view.document.select(self.chosen | self.graph.downstream(*self.chosen_nodes()))

    def do_next_node(self) -> bool:
        return self._step({link.target for name in self.chosen_nodes()[-1:] for link in self.scene.ports.outgoing(name)}, first=True)

    def do_previous_node(self) -> bool:
        return self._step({link.source for name in self.chosen_nodes()[:1] for link in self.graph.incoming.get(name, ())}, first=False)

    def _step(self, names: set[str], first: bool) -> bool:
        """Go along a link; from nothing, to the first or last node."""
        items = [self.scene.nodes[n] for n in names] if self.chosen_nodes() else list(self.scene.nodes.values())
        if not items:
            return False
        pick = min if first else max
        best = pick(items, key=lambda item: (item.x(), -item.y())) if not self.chosen_nodes() else min(items, key=lambda item: item.y())
        self.view.show_node(best.node.id)
        return True

    def do_next_link(self) -> bool:
        return self._step_link(1)

    def do_previous_link(self) -> bool:
        return self._step_link(-1)

    def _step_link(self, way: int) -> bool:
        """Select the links of a node one after the other, so that Delete, R and Tab work on them without a mouse."""
        names = self.chosen_nodes()
        if names:
            self._home = names[0]
        if self._home not in self.graph.nodes:
            return False
        links = sorted(wire.link for wire in self.scene.links.wires_of([self._home]))
        if not links:
            return False
        now = next((links.index(link) for link in self.view.selected_links if link in links), None)
        link = links[(now + way) % len(links) if now is not None else 0 if way > 0 else -1]
        self.view.document.select(())
        self.view.select_links([link])
        name = self.view.graph_scene.title
        self.view.message.emit(f"{name(link.source)}, {in_words(link.output)} → {name(link.target)}, {in_words(link.input)}")
        return True

    # -- nodes

    def _mode(self, name: str) -> bool:
        label, mode = MODES[name]
        ids = self.chosen
        return self.view.edit(label, lambda graph: edits.with_mode(graph, ids, mode)) if ids else False

    def do_fold(self) -> bool:
        ids = self.chosen
        return self.view.edit("Fold", lambda graph: edits.folded(graph, ids)) if ids else False

    def do_advanced(self) -> bool:
        names = self.chosen_nodes()
        if not names:
            return False
        wanted = not all(shows_advanced(self.graph.nodes[n]) for n in names)

        def change(graph: Graph) -> Graph:
            for name in names:
                graph = edits.with_extra(graph, name, "show_advanced", wanted or None)
            return graph

        return self.view.edit("Show advanced rows" if wanted else "Hide advanced rows", change)

    def do_pin(self) -> bool:
        names = self.chosen_nodes()
        return self.view.edit("Pin", lambda graph: edits.pinned(graph, names)) if names else False

    def do_rename(self) -> bool:
        ids = [n for n in self.chosen if n in self.graph.nodes or n in self.graph.groups]
        if not ids:
            notes = [n for n in self.chosen if n in self.graph.notes]
            return self.view.editor.edit_note(notes[0]) if notes else False
        return self.view.editor.edit_title(ids[0])

    def do_detach(self) -> bool:
        names, ports = self.chosen_nodes(), self.scene.ports
        return self.view.edit("Detach", lambda graph: edits.detached(graph, ports, names)) if names else False

    def do_edit_value(self) -> bool:
        names = self.chosen_nodes()
        return self.view.editor.edit_first(names[0]) if names else False

    def do_open(self) -> bool:
        name = next((n for n in self.chosen_nodes() if self.graph.nodes[n].subgraph), None)
        if name is None:
            return False
        self.view.open_subgraph.emit(name)
        return True

    def do_link_selected(self) -> bool:
        names, ports = self.chosen_nodes(), self.scene.ports
        place = {n: self.scene.nodes[n].x() for n in names}
        return self.view.edit("Link", lambda graph: edits.with_links_among(graph, ports, names, place)) if len(names) > 1 else False

    def do_reroute(self) -> bool:
        """A dot in the middle of each selected link."""
        links, middles, made = self.view.selected_links, dict[Link, QPointF](), list[str]()
        for link in links:
            middles[link] = self.scene.links.wires[link].path.pointAtPercent(0.5)
        if not links:
            return False

        def change(graph: Graph) -> Graph:
            for link in sorted(links):
                place = (edits.snapped(middles[link].x(), 8), edits.snapped(middles[link].y(), 8))
                graph, name = edits.rerouted(graph, [link], place)
                made.append(name)
            return graph

        self.view.select_links(())
        if self.view.edit("Add a reroute", change):
            self.view.document.select(made)
        return True

    def color(self, color: str | None) -> bool:
        """Colour what is selected: a token ("category.mask"), or None for its own colour."""
        ids = self.chosen
        return self.view.edit("Colour", lambda graph: edits.with_color(graph, ids, color)) if ids else False

    def do_hide_links(self) -> bool:
        links: set[Link] = set(self.view.selected_links)
        if not links:
            links = {wire.link for wire in self.scene.links.wires_of(self.chosen_nodes())}
        if not links:
            return False
        return self.view.edit("Hide links", lambda graph: edits.with_links_hidden(graph, links))

    # -- view

    def do_frame_selection(self) -> None:
        self.view.frame_selection()

    def do_frame_all(self) -> None:
        self.view.frame_all()

    def do_zoom_in(self) -> None:
        self.view.zoom_step(1)

    def do_zoom_out(self) -> None:
        self.view.zoom_step(-1)

    def do_zoom_100(self) -> None:
        self.view.zoom_to(1.0)

    def do_minimap(self) -> None:
        self.view.set_options(minimap=not self.view.minimap.is_wanted)

    def do_focus_links(self) -> None:
        self.view.set_options(focus_links=not self.scene.focus_links)

    def do_snap(self) -> None:
        self.view.set_options(snap=not self.view.snap)
        self.view.message.emit("Nodes snap to the grid." if self.view.snap else "Nodes move freely.")

    # -- arrange

    def _align(self, edge: Edge) -> bool:
        return arranging.put(self, "Align", aligned(self.boxes(self.chosen), edge))

    def do_distribute_h(self) -> bool:
        return arranging.put(self, "Distribute", distributed(self.boxes(self.chosen), horizontal=True))

    def do_distribute_v(self) -> bool:
        return arranging.put(self, "Distribute", distributed(self.boxes(self.chosen), horizontal=False))

    def do_layout(self) -> bool:
        return arranging.lay_out(self)

    def _nudge(self, way: str) -> bool:
        ids = set(self.chosen) | set(self.chosen_nodes())
        ids = {n for n in ids if n not in self.graph.nodes or not self.graph.nodes[n].pinned}
        if not ids:
            amount = {"left": (-64, 0), "right": (64, 0), "up": (0, -64), "down": (0, 64)}[way]
            self.view.pan(*amount)
            return True
        dx, dy = {"left": (-8, 0), "right": (8, 0), "up": (0, -8), "down": (0, 8)}[way]
        return self.view.edit("Move", lambda graph: graph.moved(ids, dx, dy), merge="nudge:" + ",".join(sorted(ids)))
