"""The one table of everything that a key can do: action id, title, default keys, where it applies.

Menus, the command palette, the cheat sheet and the canvas read it; the user's own keys override the defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QKeySequence

from ui import theme

Scope = Literal["canvas", "window"]


@dataclass(frozen=True)
class ActionSpec:
    """One action. `scope` "canvas": the focused GraphView carries it out (`view.trigger(id)`); "window": the main window does."""

    id: str
    title: str
    keys: tuple[str, ...] = ()
    scope: Scope = "canvas"
    group: str = "Edit"
    icon: str | None = None
    help: str = ""


def _window(id: str, title: str, *keys: str, group: str, icon: str | None = None, help: str = "") -> ActionSpec:
    return ActionSpec(id, title, keys, "window", group, icon, help)


def _canvas(id: str, title: str, *keys: str, group: str = "Edit", icon: str | None = None, help: str = "") -> ActionSpec:
    return ActionSpec("canvas." + id, title, keys, "canvas", group, icon, help)


TABLE: Final[Mapping[str, ActionSpec]] = {
    action.id: action
    for action in (
        _window("file.new", "New graph", "Ctrl+N", group="File", icon="file-plus"),
        _window("file.open", "Open", "Ctrl+O", group="File", icon="folder-open"),
        _window("file.save", "Save", "Ctrl+S", group="File", icon="save"),
        _window("file.save_as", "Save as", "Ctrl+Shift+S", group="File"),
        _window("file.export_picture", "Save a picture of the canvas", "Ctrl+P", group="File", icon="image-down"),
        _window("file.close", "Close tab", "Ctrl+W", group="File", icon="x"),
        _window("file.quit", "Quit", "Ctrl+Q", group="File"),
        _window("edit.undo", "Undo", "Ctrl+Z", group="Edit", icon="undo-2"),
        _window("edit.redo", "Redo", "Ctrl+Shift+Z", "Ctrl+Y", group="Edit", icon="redo-2"),
        _window("edit.preferences", "Preferences", "Ctrl+,", group="Edit", icon="settings"),
        _canvas("cut", "Cut", "Ctrl+X", icon="scissors"),
        _canvas("copy", "Copy", "Ctrl+C", icon="copy"),
        _canvas("paste", "Paste", "Ctrl+V", icon="clipboard-paste"),
        _canvas("paste_linked", "Paste with incoming links", "Ctrl+Shift+V"),
        _canvas("duplicate", "Duplicate", "Ctrl+D", icon="copy"),
        _canvas("duplicate_linked", "Duplicate with inputs", "Ctrl+Shift+D"),
        _canvas("delete", "Delete", "Delete", "Backspace", icon="trash-2", help="Links in and out go with the node"),
        _canvas(
            "delete_healing",
            "Delete and join its neighbours",
            "Ctrl+Delete",
            "Ctrl+Backspace",
            help="What came in goes on to where it went, when the types fit",
        ),
        _canvas("search", "Add a node", "Tab", "Space", "Shift+A", group="Add", icon="plus"),
        _canvas("add_note", "Add a note", "N", group="Add", icon="sticky-note"),
        _canvas("group", "Group", "Ctrl+G", group="Add", icon="group"),
        _canvas("ungroup", "Ungroup", "Ctrl+Shift+G", group="Add", icon="ungroup"),
        _canvas("to_subgraph", "Make a subgraph", "Ctrl+Shift+E", group="Add", icon="workflow"),
        _canvas("select_all", "Select all", "Ctrl+A", group="Select"),
        _canvas("select_none", "Select nothing", "Ctrl+Shift+A", "Escape", group="Select"),
        _canvas("select_upstream", "Select what leads here", "Shift+[", group="Select"),
        _canvas("select_downstream", "Select what follows", "Shift+]", group="Select"),
        _canvas("select_invert", "Invert the selection", group="Select"),
        _canvas("previous_node", "Go to the node before", "Ctrl+Left", group="Select"),
        _canvas("next_node", "Go to the node after", "Ctrl+Right", group="Select"),
        _canvas("next_link", "Select the next link of the node", "K", group="Select", help="Then Delete takes it off, R adds a dot, Tab adds a node into it"),
        _canvas("previous_link", "Select the link before", "Shift+K", group="Select"),
        _canvas("fold", "Fold or unfold", "H", group="Node", icon="minimize"),
        _canvas("advanced", "Show or hide advanced rows", "Shift+H", group="Node"),
        _canvas("mute", "Mute", "M", group="Node", icon="circle-off", help="The node does not run and gives nothing"),
        _canvas("bypass", "Bypass", "Ctrl+B", group="Node", icon="redo-dot", help="What comes in passes through unchanged"),
        _canvas("pin", "Pin", "P", group="Node", icon="pin", help="A pinned node cannot be moved or deleted by accident"),
        _canvas("rename", "Rename", "F2", group="Node", icon="pencil"),
        _canvas("detach", "Detach from its links", "Ctrl+Shift+K", group="Node", icon="unlink"),
        _canvas("edit_value", "Edit the values", "Return", "Enter", group="Node", help="Opens the first field; Tab goes to the next"),
        _canvas("open", "Open the subgraph", "Ctrl+Down", group="Node", icon="workflow"),
        _canvas("link_selected", "Link the selected nodes", "J", group="Node", icon="link"),
        _canvas("reroute", "Add a reroute dot to the selected links", "R", group="Node", icon="circle-dot"),
        _canvas("hide_links", "Hide or show links of the node", "Ctrl+H", group="Node", icon="eye-off"),
        _canvas("frame_selection", "Zoom to the selection", "F", ".", group="View", icon="locate-fixed"),
        _canvas("frame_all", "Zoom to everything", "A", "Home", group="View", icon="maximize"),
        _canvas("zoom_in", "Zoom in", "Ctrl++", "Ctrl+=", group="View", icon="zoom-in"),
        _canvas("zoom_out", "Zoom out", "Ctrl+-", group="View", icon="zoom-out"),
        _canvas("zoom_100", "Zoom to 100 %", "Ctrl+0", "1", group="View"),
        _canvas("minimap", "Show the minimap", "Shift+M", group="View"),
        _canvas("focus_links", "Focus links of the selection", "Shift+F", group="View"),
        _canvas("snap", "Snap to the grid", "Shift+G", group="View", icon="grid-3x3"),
        _canvas("layout", "Arrange", "L", group="Arrange", icon="waypoints"),
        _canvas("align_left", "Align left", "Shift+Left", group="Arrange", icon="align-start-vertical"),
        _canvas("align_right", "Align right", "Shift+Right", group="Arrange", icon="align-end-vertical"),
        _canvas("align_top", "Align top", "Shift+Up", group="Arrange", icon="align-start-horizontal"),
        _canvas("align_bottom", "Align bottom", "Shift+Down", group="Arrange", icon="align-end-horizontal"),
        _canvas("align_center", "Align centres in a column", group="Arrange", icon="align-center-vertical"),
        _canvas("align_middle", "Align middles in a row", group="Arrange", icon="align-center-horizontal"),
        _canvas("distribute_h", "Distribute in a row", "Ctrl+Shift+H", group="Arrange"),
        _canvas("distribute_v", "Distribute in a column", "Ctrl+Shift+J", group="Arrange"),
        _canvas("nudge_left", "Move left by one step", "Left", group="Arrange"),
        _canvas("nudge_right", "Move right by one step", "Right", group="Arrange"),
        _canvas("nudge_up", "Move up by one step", "Up", group="Arrange"),
        _canvas("nudge_down", "Move down by one step", "Down", group="Arrange"),
        _window("run.run", "Run", "Ctrl+Return", "Ctrl+Enter", group="Run", icon="play"),
        _window("run.next", "Run next", "Ctrl+Shift+Return", "Ctrl+Shift+Enter", group="Run"),
        _window("run.selected", "Run the selected node", "Alt+Return", group="Run"),
        _window("run.stop", "Stop", "Ctrl+Alt+Return", "Ctrl+Alt+Enter", group="Run", icon="square"),
        _window("view.palette", "Find a command", "Ctrl+K", "Ctrl+Shift+P", group="View", icon="command"),
        _window("view.next_tab", "Next tab", "Ctrl+Tab", group="View"),
        _window("view.leave_subgraph", "Leave the subgraph", "Ctrl+Up", group="View"),
        _window("help.keys", "Keys", "?", "Ctrl+/", group="Help", icon="keyboard"),
        _window("help.node", "Help on this", "F1", group="Help", icon="circle-question-mark"),
    )
}

MOUSE: Final[tuple[tuple[str, str], ...]] = (
    ("Drag on empty canvas", "Select in a box; Shift adds, Ctrl takes away"),
    ("Middle drag, or Space and drag", "Move the view"),
    ("Wheel", "Zoom at the cursor; Shift sideways, Ctrl up and down"),
    ("Double-click empty canvas", "Add a node"),
    ("Drag from a port", "Make a link; on empty canvas it asks for a node that fits"),
    ("Drag from a linked input", "Take the link off; Shift adds one where many fit"),
    ("Ctrl-drag from an output", "Move all its links to another output"),
    ("Drop a node on a link, or add one while a link is selected", "Put it in between"),
    ("Shake a node while dragging", "Take it out of its links"),
    ("Ctrl and right-drag", "Cut links"),
    ("Alt-click a link", "Add a reroute dot"),
    ("Shift-drag from a dot", "Make a link"),
    ("Alt-drag a node", "Duplicate it"),
    ("Drag on a number", "Scrub: Shift slow, Ctrl fast"),
    ("Double-click a number", "Type a value or a sum such as 512*2"),
    ("Double-click a title", "Rename; on a subgraph: open it; on a group: fold it"),
    ("Alt while dragging", "Off the grid and its guides; Ctrl: not into a link"),
    ("Escape or the other button while dragging", "Let go"),
    ("Drag the edge of a node, group or note", "Change its size"),
)


class Keymap:
    """Which keys start which action: the defaults of the table under the user's own choices."""

    def __init__(self, overrides: Mapping[str, Iterable[str]] | None = None) -> None:
        """`overrides` maps an action id to its keys (empty: no key); unknown ids are kept and ignored."""
        self.overrides = {id: tuple(keys) for id, keys in (overrides or {}).items()}

    def keys(self, id: str) -> tuple[str, ...]:
        return self.overrides.get(id, TABLE[id].keys)

    def sequences(self, id: str) -> list[QKeySequence]:
        return [QKeySequence(key) for key in self.keys(id)]

    def find(self, pressed: QKeySequence, scope: Scope = "canvas") -> str | None:
        """The action of a scope that this key press starts."""
        for action in TABLE.values():
            if action.scope == scope and any(sequence == pressed for sequence in self.sequences(action.id)):
                return action.id
        return None

    def conflicts(self) -> dict[str, tuple[str, ...]]:
        """Keys that start more than one action, with those actions' ids."""
        users: dict[str, list[str]] = {}
        for id in TABLE:
            for sequence in self.sequences(id):
                users.setdefault(sequence.toString(), []).append(id)
        return {key: tuple(ids) for key, ids in users.items() if len(ids) > 1}


def make_qaction(id: str, parent: QObject, keymap: Keymap | None = None) -> QAction:
    """A QAction for a menu or the palette. A canvas action only shows its keys: the GraphView itself listens for them."""
    spec = TABLE[id]
    made = QAction(spec.title, parent)
    made.setObjectName(id)
    if spec.icon:
        made.setIcon(theme.icon(spec.icon))
    made.setToolTip(spec.help or spec.title)
    made.setShortcuts((keymap or Keymap()).sequences(id))
    made.setShortcutContext(Qt.ShortcutContext.WidgetShortcut if spec.scope == "canvas" else Qt.ShortcutContext.WindowShortcut)
    return made
