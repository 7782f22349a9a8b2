"""The window's menus and the commands of its palette, both out of the one table of actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar

from ui.actions import TABLE, Keymap, make_qaction

if TYPE_CHECKING:
    from ui.command_palette import Command

MENUS: Final[Mapping[str, tuple[str, ...]]] = {
    "File": ("file.new", "file.open", ">recent", "-", "file.save", "file.save_as", "-", "file.export_picture", "-", "file.close", "file.quit"),
    "Edit": (
        "edit.undo", "edit.redo", "-", "canvas.cut", "canvas.copy", "canvas.paste", "canvas.paste_linked", "canvas.duplicate", "canvas.duplicate_linked",
        "canvas.delete", "canvas.delete_healing", "-", "edit.preferences",
    ),
    "Add": ("canvas.search", "canvas.add_note", "-", "canvas.group", "canvas.ungroup", "canvas.to_subgraph", "-", ">nodes"),
    "Select": (
        "canvas.select_all", "canvas.select_none", "canvas.select_invert", "-", "canvas.select_upstream", "canvas.select_downstream", "-",
        "canvas.previous_node", "canvas.next_node",
    ),
    "View": (
        "view.palette", "-", "canvas.frame_all", "canvas.frame_selection", "canvas.zoom_in", "canvas.zoom_out", "canvas.zoom_100", "-",
        "canvas.minimap", "canvas.snap", "canvas.focus_links", "-", "canvas.layout", ">arrange", "-", ">panels", "view.next_tab", "view.leave_subgraph",
    ),
    "Run": ("run.run", "run.next", "run.selected", "run.stop", "-", "canvas.mute", "canvas.bypass", "canvas.fold", "canvas.pin"),
    "Help": ("help.keys", "help.node"),
}  # fmt: skip
ARRANGE: Final = tuple(id for id, spec in TABLE.items() if spec.group == "Arrange" and id != "canvas.layout")


class Actions(QObject):
    """One QAction for each line of the table. `handlers` carry out those of the window, `trigger` those of the canvas."""

    def __init__(self, parent: QObject, keymap: Keymap, handlers: Mapping[str, Callable[[], object]], trigger: Callable[[str], object]) -> None:
        super().__init__(parent)
        self._handlers, self._trigger = handlers, trigger
        self.actions: dict[str, QAction] = {}
        for id, spec in TABLE.items():
            if spec.scope == "window" and id not in handlers:
                continue
            made = make_qaction(id, parent, keymap)
            made.triggered.connect(lambda _checked=False, id=id: self.carry_out(id))
            self.actions[id] = made

    def carry_out(self, id: str) -> None:
        if id in self._handlers:
            self._handlers[id]()
        else:
            self._trigger(id)

    def set_keymap(self, keymap: Keymap) -> None:
        for id, action in self.actions.items():
            action.setShortcuts(keymap.sequences(id))

    def fill(self, bar: QMenuBar, submenus: Mapping[str, Callable[[QMenu], None]]) -> None:
        """Fill the menus of the bar; ">name" is a submenu that its function fills whenever it opens."""
        for ids, entry in zip(MENUS.values(), bar.actions()):
            menu = entry.menu()
            assert isinstance(menu, QMenu)
            for id in ids:
                if id == "-":
                    menu.addSeparator()
                elif id.startswith(">"):
                    inner = menu.addMenu(id[1:].capitalize())
                    fill = submenus[id[1:]]
                    inner.aboutToShow.connect(lambda inner=inner, fill=fill: (inner.clear(), fill(inner)))
                elif id in self.actions:
                    menu.addAction(self.actions[id])

    def commands(self, keymap: Keymap) -> list[Command]:
        """All of them for the palette."""
        from ui.command_palette import Command

        found = []
        for id, action in self.actions.items():
            spec = TABLE[id]
            keys = keymap.keys(id)
            shown = QKeySequence(keys[0]).toString(QKeySequence.SequenceFormat.NativeText) if keys else ""
            found.append(Command("Commands", spec.title, lambda id=id: self.carry_out(id), spec.group, spec.icon or "command", keys=shown, words=spec.help, enabled=action.isEnabled()))
        return found


def recent_menu(menu: QMenu, paths: Sequence[Path], open_path: Callable[[Path], object], clear: Callable[[], object]) -> None:
    """The files opened lately."""
    for path in paths[:12]:
        made = menu.addAction(f"{path.stem}  ·  {path.parent.name}".replace("&", "&&"))
        made.triggered.connect(lambda _checked=False, path=path: open_path(path))
    if not paths:
        menu.addAction("Nothing yet").setEnabled(False)
    else:
        menu.addSeparator()
        menu.addAction("Forget these").triggered.connect(lambda: clear())
