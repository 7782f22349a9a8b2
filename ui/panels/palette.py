"""The node search at the cursor: a few letters, what fits the dragged link, and the node itself before it is added."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QScrollArea, QToolButton, QVBoxLayout, QWidget

from nodegraph.graph import Node
from nodegraph.spec import NodeSpec
from ui import theme
from ui.canvas.anatomy import measure
from ui.canvas.model import PortRef
from ui.canvas.node_paint import Look, paint_body
from ui.canvas.paint import draw_port
from ui.label import IconLabel, KeyCap, Label, hair, tool
from ui.panels.rows import Entry, RowList
from ui.popup import Popup
from ui.search import Habits, Hit, find_nodes, grouped, habit_key
from ui.settings import Settings
from ui.words import quoted, seconds_words

SIZE = QSize(676, 520)


def look_of(spec: NodeSpec, values: Mapping[str, object] | None = None, linked: frozenset[str] = frozenset(), picture: bool = False) -> Look:
    """How a fresh node of this type looks, for a preview of it."""
    node = Node("preview", spec.id, dict(values or {}), extra={"show_preview": picture})
    made = measure(node, spec, linked, frozenset(), {})
    return Look(spec.title, spec.category, made, icon=theme.category_icon(spec.category))


class NodePreview(QWidget):
    """A node as it will stand on the canvas, with the dragged link on its way in."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look: Look | None = None
        self._port, self._side, self._type = "", "in", ""
        self.setFixedHeight(180)

    def show_spec(self, spec: NodeSpec | None, port: str = "", side: str = "in", type_name: str = "") -> None:
        self._look = look_of(spec, linked=frozenset({port}) if port and side == "in" else frozenset()) if spec is not None else None
        self._port, self._side, self._type = port, side, type_name
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        shape = QPainterPath()
        shape.addRect(QRectF(self.rect()))
        painter.fillPath(shape, now.color("surface.canvas"))
        if self._look is not None:
            made = self._look.anatomy
            zoom = min(1.0, (self.width() - 64) / made.width, max(0.5, (self.height() - 24) / made.height))
            x = round((self.width() - made.width * zoom) / 2)
            y = round(max(12.0, (self.height() - made.height * zoom) / 2))
            port = made.port(self._side, self._port)
            if port is not None and self._side == "in":
                painter.setPen(QPen(now.port_color(self._type), 2))
                at = y + port.y * zoom
                painter.drawLine(QPointF(0, at), QPointF(x, at))
            painter.translate(x, y)
            painter.scale(zoom, zoom)
            paint_body(painter, now, self._look, zoom * self.devicePixelRatioF(), True)
        painter.end()


class PortLine(QWidget):
    """A port mark and its type's name."""

    def __init__(self, type_name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._type = type_name
        self.setFixedHeight(20)

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw_port(painter, now, now.port_kind(self._type), 6, 10, 11, True, False)
        painter.setFont(theme.font("body"))
        painter.setPen(now.color("text.primary"))
        painter.drawText(QPointF(19, 10 + theme.metrics("body").capHeight() / 2), type_words(self._type))
        painter.end()


def type_words(type_name: str) -> str:
    return {"*": "anything", "int": "whole number", "float": "number", "bool": "on or off", "str": "text", "path": "file"}.get(type_name, type_name)


class _Chip(QToolButton):
    """ "takes Latent ×": the filter of a dragged link, which can be taken off."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._type, self._words = "", ""
        self.setFixedHeight(24)

    def show_hint(self, hint: PortRef) -> None:
        self._type = hint.type
        self._words = ("takes " if hint.side == "out" else "gives ") + type_words(hint.type)
        self.setAccessibleName(f"Only nodes that {'take' if hint.side == 'out' else 'give'} {type_words(hint.type)}. Press to show all.")
        self.setToolTip("Show all nodes")
        self.setFixedWidth(round(theme.metrics("small", 600).horizontalAdvance(self._words)) + 54)

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(now.color("line.focus"), 1.5) if self.hasFocus() else Qt.PenStyle.NoPen)
        painter.setBrush(now.mix(now.port_color(self._type), "surface.popup", 0.3 if self.underMouse() else 0.2))
        painter.drawRoundedRect(QRectF(1, 1, self.width() - 2, self.height() - 2), 11, 11)
        draw_port(painter, now, now.port_kind(self._type), 14, 12, 11, True, False)
        painter.setFont(theme.font("small", 600))
        painter.setPen(now.color("text.primary"))
        painter.drawText(QPointF(25, 12 + theme.metrics("small", 600).capHeight() / 2), self._words)
        theme.draw_icon(painter, "x", QRectF(self.width() - 22, 6, 12, 12), now.color("text.secondary"), 2.0)
        painter.end()


class Footer(QWidget):
    """What the keys do, under a palette."""

    def __init__(self, parts: tuple[tuple[tuple[str, ...], str], ...], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(34)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 0, 16, 0)
        row.setSpacing(4)
        for keys, words in parts:
            for key in keys:
                row.addWidget(KeyCap(key))
            row.addSpacing(3)
            row.addWidget(Label(words, "dim"))
            row.addSpacing(14)
        row.addStretch(1)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.current().color("surface.panel_header"))
        shape = QPainterPath()
        shape.setFillRule(Qt.FillRule.WindingFill)
        shape.addRoundedRect(QRectF(1, 0, self.width() - 2, self.height() - 1), 11, 11)
        shape.addRect(QRectF(1, 0, self.width() - 2, self.height() / 2))
        painter.drawPath(shape)
        painter.fillRect(0, 0, self.width(), 1, theme.current().color("line.hair"))
        painter.end()


class NodePalette(Popup):
    """Emits `wanted(type id, hint or None, keep open)`; who opened it adds the node."""

    wanted = Signal(str, object, bool)
    help_wanted = Signal(str)

    def __init__(self, settings: Settings, parent: QWidget) -> None:
        super().__init__(SIZE, parent)
        self._settings = settings
        self._specs: Mapping[str, NodeSpec] = {}
        self._hint: PortRef | None = None
        self._hits: dict[str, Hit] = {}
        self.where = QPointF()
        self.usual: Mapping[str, Mapping[str, int]] = {}  # what comes at a port in the examples
        column = QVBoxLayout(self.sheet)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        top = QHBoxLayout()
        top.setContentsMargins(18, 0, 14, 0)
        top.setSpacing(12)
        top.addWidget(IconLabel("search", "text.secondary", 18))
        self.field = QLineEdit()
        self.field.setProperty("kind", "search")
        self.field.setPlaceholderText("Find a node")
        self.field.setAccessibleName("Find a node")
        self.field.setFixedHeight(55)
        self.field.textChanged.connect(self._search)
        self.field.installEventFilter(self)
        top.addWidget(self.field, 1)
        self._chip = _Chip()
        self._chip.clicked.connect(self._drop_hint)
        top.addWidget(self._chip)
        column.addLayout(top)
        column.addWidget(hair())
        middle = QHBoxLayout()
        middle.setSpacing(0)
        self.list = RowList()
        self.list.setFixedWidth(372)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setAccessibleName("Nodes found")
        self.list.chosen.connect(lambda type_id: self._take(type_id, False))
        self.list.moved.connect(self._show_side)
        middle.addWidget(self.list)
        middle.addWidget(hair(vertical=True))
        middle.addWidget(self._side(), 1)
        column.addLayout(middle, 1)
        column.addWidget(Footer(((("↑", "↓"), "Choose"), (("↵",), "Add"), (("⇧", "↵"), "Add another"), (("F1",), "Help"), (("Esc",), "Let go"))))

    def _side(self) -> QWidget:
        side = QWidget()
        column = QVBoxLayout(side)
        column.setContentsMargins(0, 0, 1, 0)
        column.setSpacing(0)
        self._preview = NodePreview()
        column.addWidget(self._preview)
        self._about = QWidget()
        words = QVBoxLayout(self._about)
        words.setContentsMargins(16, 12, 12, 12)
        words.setSpacing(8)
        head = QHBoxLayout()
        self._title = Label("", "heading", wrap=True)
        head.addWidget(self._title, 1)
        self._star = tool("star", "Favourite", 16, checkable=True)
        self._star.clicked.connect(self._toggle_star)
        head.addWidget(self._star, 0, Qt.AlignmentFlag.AlignTop)
        words.addLayout(head)
        self._help = Label("", "dim", wrap=True)
        words.addWidget(self._help)
        self._facts = QVBoxLayout()
        self._facts.setSpacing(4)
        words.addLayout(self._facts)
        words.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self._about)
        self._about.setProperty("kind", "page")
        column.addWidget(scroll, 1)
        return side

    # -- opening

    def open(self, where: QPoint, scene_pos: QPointF, specs: Mapping[str, NodeSpec], hint: PortRef | None = None, text: str = "") -> None:
        """Show at a global point. `scene_pos` is handed back through `self.where`."""
        self._specs, self._hint, self.where = specs, hint, scene_pos
        self._chip.setVisible(hint is not None)
        if hint is not None:
            self._chip.show_hint(hint)
        self.field.setText(text)
        self._search(text)
        self.place(where)
        self.field.setFocus(Qt.FocusReason.PopupFocusReason)

    def _habits(self) -> Habits:
        return Habits(tuple(self._settings.get("favourites")), tuple(self._settings.get("recent_nodes")), self._settings.get("followers"), self.usual)

    def _search(self, text: str) -> None:
        habits = self._habits()
        hits = find_nodes(text, self._specs, habits, self._hint, limit=400)
        self._hits = {hit.spec.id: hit for hit in hits}
        entries = []
        for heading, found in grouped(hits, text, habits, self._hint):
            if heading == "Also found" and self._hint is not None:
                heading = f"Also {'take' if self._hint.side == 'out' else 'give'} {type_words(self._hint.type)}"
            entries.append(Entry(heading))
            entries += [self._entry(hit) for hit in found]
        if not hits:
            entries.append(Entry(f"Nothing is called ‘{text.strip()}’" if text.strip() else "No node fits this link"))
        self.list.show_entries(entries)
        if not hits:
            self._show_side(None)

    def _entry(self, hit: Hit) -> Entry:
        spec = hit.spec
        gives = spec.outputs[0].type if spec.outputs else ""
        return Entry(
            spec.title,
            spec.id,
            spec.summary,
            theme.category_icon(spec.category),
            theme.current().category_token(spec.category),
            hit.places,
            spec.category.split("/")[0].capitalize(),
            theme.current().port_kind(gives) if gives else "",
        )

    def _show_side(self, type_id: str | None) -> None:
        hit = self._hits.get(type_id or "")
        spec = hit.spec if hit else None
        side = "in" if self._hint is None or self._hint.side == "out" else "out"
        self._preview.show_spec(spec, hit.port if hit else "", side, self._hint.type if self._hint else "")
        self._title.setText(spec.title if spec else "")
        self._help.setText(quoted("\n\n".join(part for part in ((spec.summary, spec.help) if spec else ()) if part)))
        self._star.setVisible(spec is not None)
        self._star.setChecked(spec is not None and spec.id in self._settings.get("favourites"))
        while self._facts.count():
            item = self._facts.takeAt(0)
            if item is not None and item.widget() is not None:
                item.widget().hide()
                item.widget().deleteLater()
        if spec is None:
            return
        takes = list(dict.fromkeys(i.type for i in spec.inputs if i.is_port))
        gives = list(dict.fromkeys(o.type for o in spec.outputs))
        for name, types in (("Takes", takes), ("Gives", gives)):
            for number, type_name in enumerate(types):
                self._facts.addWidget(_Fact(name if number == 0 else "", PortLine(type_name)))
        seconds = self._settings.get("node_seconds").get(spec.id)
        if isinstance(seconds, (int, float)):
            self._facts.addWidget(_Fact("Time", Label(seconds_words(float(seconds)) + " on this computer")))

    def _toggle_star(self) -> None:
        type_id = self.list.current()
        if isinstance(type_id, str):
            self._star.setChecked(self._settings.toggle_favourite(type_id))

    # -- hands

    def _drop_hint(self) -> None:
        self._hint = None
        self._chip.hide()
        self._search(self.field.text())
        self.field.setFocus()

    def _take(self, type_id: str, keep_open: bool) -> None:
        self._settings.note_node(type_id, habit_key(self._hint))
        hint = self._hint
        if keep_open:
            self._hint = None
            self._chip.hide()
        else:
            self.close()
        self.wanted.emit(type_id, hint, keep_open)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.field and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            key = event.key()
            steps = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: 8, Qt.Key.Key_PageUp: -8}
            if key in steps:
                self.list.step(steps[Qt.Key(key)])
                return True
            if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                type_id = self.list.current()
                if isinstance(type_id, str):
                    self._take(type_id, bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
                return True
            if key == Qt.Key.Key_Backspace and not self.field.text() and self._hint is not None:
                self._drop_hint()
                return True
            if key == Qt.Key.Key_F1:
                type_id = self.list.current()
                if isinstance(type_id, str):
                    self.help_wanted.emit(type_id)
                return True
            if key == Qt.Key.Key_Escape:
                self.close()
                return True
        return super().eventFilter(watched, event)


class _Fact(QWidget):
    """A grey word and what it is."""

    def __init__(self, name: str, value: QWidget) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        label = Label(name, "dim")
        label.setFixedWidth(52)
        row.addWidget(label)
        row.addWidget(value, 1)
