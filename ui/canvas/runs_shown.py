"""How runs show on the canvas: states, dots on live links, cross-fades, levels on schedules. Only paint follows a run, never a size."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QRectF, QTimer

from nodegraph.graph import Link
from ui.canvas.looks import look_of
from ui.canvas.model import IDLE
from ui.canvas.node_item import NodeItem

if TYPE_CHECKING:
    from ui.canvas.scene import GraphScene

TICK = 50  # ms between two places of the dots on a live link
FRAME = 33  # ms between two frames of a cross-fade
WAITS = ("queued", "running")


class RunsShown(QObject):
    """Takes over the run states of the document."""

    def __init__(self, scene: GraphScene) -> None:
        super().__init__(scene)
        self._scene = scene
        self._fading: set[NodeItem] = set()
        self._clock = QTimer(self, interval=TICK)
        self._clock.timeout.connect(self._tick)

    def show(self, ids: Iterable[str]) -> None:
        """Some nodes have other states."""
        scene, states = self._scene, self._scene.document.states
        again: set[str] = set()
        told: set[str] = set()  # nodes at which something else arrives now
        for name in ids:
            item = scene.nodes.get(name)
            if item is None:
                continue
            run, before = states.get(name, IDLE), item.look.run
            item.show_run(run)
            if run.state != before.state or run.input != before.input or (run.seed != before.seed and run.state != "running"):
                self._show_anew(item)
                again.add(name)
            if run.shapes != before.shapes:
                told |= {link.target for link in scene.ports.outgoing(name)}
            if run.sigma != before.sigma or run.state != before.state:
                self._move_on_schedules(name)
        for name in self._behind_dots(told):
            if any(row.kind == "linked" for row in scene.nodes[name].anatomy.rows):
                self._show_anew(scene.nodes[name])
        if again:
            scene.links.restyle(again)
            self.watch()
            scene.content_changed.emit()

    def _show_anew(self, item: NodeItem) -> None:
        spec, look = look_of(self._scene, item.node)
        item.show_node(item.node, spec, look)

    def _behind_dots(self, names: set[str]) -> set[str]:
        """These nodes, and those that get through dots what arrives at them."""
        found, waiting = set[str](), list(names)
        while waiting:
            name = waiting.pop()
            item = self._scene.nodes.get(name)
            if item is not None and name not in found:
                found.add(name)
                if item.anatomy.is_dot:
                    waiting += [link.target for link in self._scene.ports.outgoing(name)]
        return found

    # -- live links

    def watch(self) -> None:
        """See which links are live: the first into each running node."""
        scene = self._scene
        running = [name for name, item in scene.nodes.items() if item.look.run.state == "running"]
        scene.links.set_live([links[0] for name in running if (links := self._incoming(name))])
        if running and not scene.theme.reduced_motion:
            if not self._clock.isActive():
                self._clock.start()
        else:
            self._clock.stop()

    def _incoming(self, name: str) -> list[Link]:
        """The links into a node, in the order of its inputs."""
        order = {item.name: k for k, item in enumerate(self._scene.nodes[name].spec.inputs)}
        return sorted(self._scene.document.graph.incoming.get(name, ()), key=lambda link: order.get(link.input, 99))

    def _tick(self) -> None:
        if self._scene.links.live and not self._scene.moving:
            period = self._scene.theme.milliseconds("pulse") / 1000
            self._scene.links.advance_dots(time.monotonic() % period / period)

    # -- pictures

    def fade_again(self, item: NodeItem) -> None:
        """Ask for the next frame of a cross-fade."""
        if item not in self._fading:
            self._fading.add(item)
            QTimer.singleShot(FRAME, self, self._fade)

    def _fade(self) -> None:
        items, self._fading = self._fading, set()
        for item in items:
            if item.anatomy.preview is not None:
                item.update(QRectF(*item.anatomy.preview))

    def waiting_words(self, node_id: str) -> str:
        """What an empty preview says: the nearest node before it that is to be waited for, past those that take no part."""
        state = self._scene.nodes[node_id].look.run.state
        if state not in WAITS:
            return "No picture yet"
        level, seen = [node_id], {node_id}
        while level:
            sources = [link.source for name in level for link in self._incoming(name) if link.source in self._scene.nodes]
            level = [name for name in dict.fromkeys(sources) if name not in seen]
            seen.update(level)
            for name in level:
                look = self._scene.nodes[name].look
                if look.run.state in WAITS and look.mode == "on" and not look.anatomy.is_dot:
                    return f"Waiting for {look.title}"
        return "Waiting" if state == "queued" else "Working"

    # -- schedules

    def _move_on_schedules(self, sampler: str) -> None:
        """A sampler is at another noise level: the schedules that lead to it say so."""
        scene, waiting, seen = self._scene, [sampler], set[str]()
        while waiting:
            for link in scene.document.graph.incoming.get(waiting.pop(), ()):
                item = scene.nodes.get(link.source)
                if item is not None and link.source not in seen and scene.ports.link_type(link) == "Sigmas":
                    seen.add(link.source)
                    waiting.append(link.source)
                    if item.anatomy.curve is not None:
                        item.update(QRectF(*item.anatomy.curve))

    def level_reached(self, schedule: str) -> float | None:
        """The noise level at which a running sampler stands that follows a schedule; None when none runs."""
        scene, waiting, seen = self._scene, [schedule], set[str]()
        while waiting:
            for link in scene.ports.outgoing(waiting.pop()):
                if link.target not in seen and scene.ports.link_type(link) == "Sigmas":
                    seen.add(link.target)
                    waiting.append(link.target)
                    run = scene.document.states.get(link.target, IDLE)
                    if run.state == "running" and run.sigma is not None:
                        return run.sigma
        return None
