"""A long random walk of hands: every key and every gesture, undone it ends where it began, redone where it ended."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QPlainTextEdit

from nodegraph.graph import Link
from nodegraph.subgraphs import gathered
from tests.ui.canvas.conftest import ALT, CTRL, NONE, RIGHT, SHIFT, SPECS, Hand, artists_graph
from tests.ui.canvas.test_scene import assert_mirrors
from ui.actions import TABLE
from ui.canvas.node_item import NodeItem
from ui.canvas.view import GraphView
from ui.document import Document
from ui.theme import Theme

KEYS = sorted(id for id, action in TABLE.items() if action.scope == "canvas" and id not in ("canvas.search", "canvas.minimap"))


class Walker:
    """Does the step that a number names to whatever that number picks."""

    def __init__(self, view: GraphView, document: Document) -> None:
        self.view, self.document, self.hand = view, document, Hand(view)

    def pick(self, number: int) -> NodeItem | None:
        """A node that is shown, brought into the middle of the view."""
        items = [item for item in self.view.graph_scene.nodes.values() if item.visible]
        if not items:
            return None
        item = sorted(items, key=lambda item: item.node.id)[number % len(items)]
        self.view.look_at(1.0, item.rect().center())
        return item

    def link(self, number: int) -> Link | None:
        links = sorted(link for link, wire in self.view.graph_scene.links.wires.items() if wire.seen and not wire.hidden)
        if not links:
            return None
        self.view.look_at(1.0, self.hand.middle_of(links[number % len(links)]))
        return links[number % len(links)]

    def grip(self, item: NodeItem) -> QPointF:
        return item.rect().center() if item.anatomy.is_dot else self.hand.title(item.node.id)

    def step(self, kind: str, number: int) -> None:
        if kind.startswith("canvas."):
            self.view.trigger(kind)
        else:
            getattr(self, f"do_{kind}")(number)
        self.view.editor.accept_editor()

    # -- gestures

    def do_select(self, number: int) -> None:
        item = self.pick(number)
        if item is not None:
            self.hand.click(self.grip(item), held=SHIFT if number % 2 else NONE)

    def do_box(self, number: int) -> None:
        item = self.pick(number)
        if item is not None:
            corner = item.rect().topLeft() - QPointF(30, 30)
            self.hand.drag(corner, corner + QPointF(100 + number % 400, 100 + number % 300), held=CTRL if number % 5 == 0 else NONE)

    def do_drag(self, number: int, held: Qt.KeyboardModifier = NONE) -> None:
        item = self.pick(number)
        if item is not None:
            self.hand.drag(self.grip(item), self.grip(item) + QPointF(number % 300 - 150, number % 170 - 85), held=held)

    def do_copy_by_drag(self, number: int) -> None:
        self.do_drag(number, ALT)

    def do_shake(self, number: int) -> None:
        item = self.pick(number)
        if item is not None:
            start = self.grip(item)
            self.hand.press(start)
            for k in range(12):
                self.hand.move(start + QPointF(60 if k % 2 else -60, 0))
            self.hand.release(start)

    def do_resize(self, number: int) -> None:
        item = self.pick(number)
        if item is not None:
            edge = QPointF(item.rect().right() - 2, item.rect().bottom() - 16)
            self.hand.drag(edge, edge + QPointF(number % 200 - 60, 0))

    def do_link(self, number: int) -> None:
        item = self.pick(number)
        outputs = [port for port in item.anatomy.ports if port.side == "out"] if item is not None else []
        if item is None or not outputs:
            return
        start = self.hand.port(item.node.id, "out", outputs[number % len(outputs)].name)
        fitting = [i for i in self.view.graph_scene.places.seen_nodes() if i is not item]
        end = fitting[number % len(fitting)].rect().center() if fitting else start + QPointF(90, 40)
        self.hand.drag(start, end, held=CTRL if number % 3 == 0 else NONE)

    def do_pull_off(self, number: int) -> None:
        link = self.link(number)
        if link is not None:
            end = self.view.graph_scene.anchor(link.target, "in", link.input)
            assert end is not None
            self.view.look_at(1.0, QPointF(end.x, end.y))
            self.hand.drag(QPointF(end.x, end.y), QPointF(end.x - 60, end.y + 50))

    def do_cut(self, number: int) -> None:
        link = self.link(number)
        if link is not None:
            middle = self.hand.middle_of(link)
            self.hand.drag(middle - QPointF(0, 60), middle + QPointF(0, 60), RIGHT, CTRL)

    def do_dot(self, number: int) -> None:
        link = self.link(number)
        if link is not None:
            self.hand.click(self.hand.middle_of(link), held=ALT)

    def do_select_link(self, number: int) -> None:
        link = self.link(number)
        if link is not None:
            self.hand.click(self.hand.middle_of(link))

    def row(self, item: NodeItem, number: int) -> QPointF | None:
        rows = item.anatomy.rows
        if not rows:
            return None
        row = rows[number % len(rows)]
        return QPointF(item.x() + 8 + (item.anatomy.width - 16) * (number % 97) / 97, item.y() + row.y + 10)

    def do_scrub(self, number: int) -> None:
        item = self.pick(number)
        place = self.row(item, number) if item is not None else None
        if place is not None:
            self.hand.drag(place, place + QPointF(number % 120 - 60, 0), held=SHIFT if number % 2 else NONE)

    def do_press_row(self, number: int) -> None:
        item = self.pick(number)
        place = self.row(item, number) if item is not None else None
        if place is not None:
            self.hand.click(place)
            self.close_list()

    def do_type(self, number: int) -> None:
        """Into a field, a title or a note, whatever a double click opens."""
        item = self.pick(number)
        if item is None:
            return
        place = self.row(item, number) if number % 3 else self.grip(item)
        if place is not None:
            self.hand.double_click(place)
            widget = self.view.editor.widget
            fields = [widget, *widget.findChildren(QLineEdit), *widget.findChildren(QPlainTextEdit)] if widget is not None else []
            field = next((f for f in fields if isinstance(f, QLineEdit | QPlainTextEdit) and f.isVisible()), None)
            if field is not None:
                field.selectAll()
                QTest.keyClicks(field, str(number % 90))
            self.close_list()

    def close_list(self) -> None:
        popup = QApplication.activePopupWidget()
        if popup is not None:
            popup.close()

    def do_enter(self, number: int) -> None:
        instances = [name for name, node in sorted(self.document.graph.nodes.items()) if node.subgraph]
        if instances and number % 3:
            self.document.enter(instances[number % len(instances)])
        else:
            self.document.leave()

    def do_promote(self, number: int) -> None:
        item = self.pick(number)
        if item is not None and item.anatomy.by_key:
            side, name = sorted(item.anatomy.by_key)[number % len(item.anatomy.by_key)]
            self.view.commands.promote(("out" if side == "out" else "in", item.node.id, name))

    def do_rename_outside(self, number: int) -> None:
        shown = sorted(self.view.graph_scene.shown_outside)
        if shown:
            self.view.commands.rename_outside(shown[number % len(shown)], ["strength", "size", ""][number % 3])

    def do_color(self, number: int) -> None:
        self.view.commands.color(["category.mask", "category.image", None][number % 3])

    def do_fold_group(self, number: int) -> None:
        groups = sorted(self.view.graph_scene.groups)
        if groups:
            rect = self.view.graph_scene.groups[groups[number % len(groups)]].rect()
            self.view.look_at(1.0, rect.topLeft())
            self.hand.double_click(rect.topLeft() + QPointF(40, 14))

    def do_undo(self, number: int) -> None:
        self.document.undo()

    def do_redo(self, number: int) -> None:
        self.document.redo()


GESTURES = sorted(name.removeprefix("do_") for name in vars(Walker) if name.startswith("do_"))
STEPS = st.lists(st.tuples(st.sampled_from([*KEYS, *GESTURES, *GESTURES]), st.integers(0, 10**6)), max_size=25)


def make() -> tuple[GraphView, Document]:
    """The artist's graph with its end in a subgraph, in an active window."""
    graph, _ = gathered(artists_graph(), ["decode", "save"], "Finish", SPECS)
    document = Document(SPECS, graph)
    view = GraphView(document)
    view.resize(900, 600)
    view.set_options(minimap=False)
    view.zoom_pill.set_visible(False)
    view.show()
    view.activateWindow()
    return view, document


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS)
def test_hands_walk_about_and_undo_leads_back_to_where_they_began(dressed: Theme, steps: list[tuple[str, int]]) -> None:
    QApplication.clipboard().clear()
    view, document = make()
    walker, start = Walker(view, document), document.root
    for kind, number in steps:
        walker.step(kind, number)
    while document.redo() is not None:  # the walk may have ended among undone steps
        pass
    end = document.root
    assert_mirrors(view.graph_scene)
    while document.undo() is not None:
        pass
    assert document.root == start
    assert_mirrors(view.graph_scene)
    while document.redo() is not None:
        pass
    assert document.root == end
    assert_mirrors(view.graph_scene)
    view.close()
    view.deleteLater()
