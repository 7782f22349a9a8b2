"""Runs as the window shows them: asking for one, how far it is, what came out, what went wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from PySide6.QtGui import QImage

from nodegraph import messages
from ui.document import Document
from ui.faces import FACES, Faces
from ui.jobs import Job, Picture
from ui.notices import Notice
from ui.panels.compare import Side
from ui.panels.problems import ProblemsPanel, Trouble
from ui.takes import Kept, Take
from ui.words import device_words, seconds_words

if TYPE_CHECKING:
    from ui.desk import Desk


class Running:
    """Carries out what the Run menu and the queue ask, and tells the panels."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.window = desk, desk.window
        self._last_failed: Job | None = None
        self._last_pictures: WeakKeyDictionary[Document, QImage] = WeakKeyDictionary()
        self.troubles: list[Trouble] = []

    def run(self, front: bool = False, targets: tuple[str, ...] = ()) -> None:
        """Put the document, as it is now, into the queue."""
        document = self.desk.document
        if document is None or not document.root.nodes:
            self.window.status.hints.say("There is nothing to run yet. Add a node with Tab.")
            return
        document.seal()
        self.desk.checker.set_run(document, [])
        self.desk.runs.submit(document, targets, front)

    def run_selected(self) -> None:
        document = self.desk.document
        if document is None:
            return
        chosen = tuple("/".join((*document.scope, name)) for name in sorted(document.selection) if name in document.graph.nodes)
        if chosen:
            self.run(targets=chosen)
        else:
            self.window.status.hints.say("Select the node that you want to run.")

    def show_run(self) -> None:
        job = self.desk.runs.current
        document = self.desk.document
        again = any(one.document is document and one.state == "done" for one in self.desk.runs.over[:20])
        if job is not None:
            self.window.top.show_run(run_words(job), True, again, document is not None)
        else:
            words = "Paused" if self.desk.runs.paused and self.desk.runs.waiting else ""
            failed = self._last_failed is not None and self._last_failed.document is document
            self.window.top.show_run("The last run failed" if failed and not words else words, False, again, document is not None, bad=failed)
        self.desk.queue_dock.set_badge("queue", str(len(self.desk.runs.waiting)) if self.desk.runs.waiting else "")
        self.desk.empty_queue.setEnabled(bool(self.desk.runs.waiting))
        if self.desk.pause.isChecked() != self.desk.runs.paused:
            self.desk.pause.setChecked(self.desk.runs.paused)

    def job_over(self, job: Job) -> None:
        self._last_failed = job if job.state in ("failed", "interrupted") else None
        troubles = [Trouble(problem, job.logs.get(problem.node_id or "", ""), True) for problem in job.problems]
        if job.state == "interrupted" and not troubles:
            from nodegraph.errors import Problem

            troubles.append(Trouble(Problem("The run was interrupted. Nothing of the graph is lost; run it again."), from_run=True))
        self.desk.checker.set_run(job.document, troubles)
        if job.state in ("failed", "interrupted") and job.document is self.desk.document:
            words = job.problems[-1].message if job.problems else "The run ended before its time."
            node = next((problem.node_id for problem in job.problems if problem.node_id), None)
            act = ("Show node", lambda: self.desk.show_node(node or "")) if node else ("Show problems", lambda: self.desk.rooms.open_side("problems"))
            self.window.notices.show_notice(Notice(words.split("\n")[0], "error", (act,), "run"))
        else:
            self.window.notices.take_back("run")
        if job.state == "done":
            if job.steps and job.document is self.desk.document:
                self.desk.hints.tell("steps")
            spent = seconds_words(job.seconds)
            self.window.status.hints.say(f"Done in {spent}" + (f", {job.cached} of {job.ran + job.cached} nodes were kept from before" if job.cached else ""), 5)
        self.show_run()

    def picture_made(self, picture: Picture) -> None:
        document = self.desk.runs.current.document if self.desk.runs.current is not None else None
        if document is not None:
            self._last_pictures[document] = picture.image
            self.keep_face(document)
        node = picture.graph.nodes.get(picture.node)
        words = next((str(v) for k, v in (node.values.items() if node else ()) if k in ("name", "title")), "")
        self.desk.compare.push(Side(picture.image, f"Take {picture.take}", words or picture.name, picture.graph))

    def keep_face(self, document: Document) -> None:
        """Note the last picture of a document's file, for the list of recent ones."""
        image = self._last_pictures.get(document)
        if document.path is not None and image is not None:
            Faces(self.window.folders.cache / FACES).keep(document.path, image)

    def take_changed(self, take: Take) -> None:
        self.desk.timeline.show_takes(self.desk.runs.takes)
        self.desk.timeline.take_changed(take)

    def frame_looked(self, kept: Kept | None) -> None:
        if kept is not None:
            self.desk.viewer.show_picture(kept.image, f"Step {kept.step}", estimate=True)

    def branch(self, take: Take, step: int) -> None:
        from ui.branching import branch

        branch(self.desk, take, step)

    def show_job(self, job: Job) -> None:
        if job.document is not None and job.document in self.desk.studio.documents:
            self.desk.studio.show(job.document)
        if job.pictures:
            self.desk.viewer.show_picture(job.pictures[-1].image, job.pictures[-1].name, job.pictures[-1].path)

    def show_memory(self, event: messages.Memory) -> None:
        self.window.status.show_memory(event.device, event.used, event.total, event.cache, 0)
        self.window.status.show_device(device_words(event.device, self.window.settings.get("device")))

    def offer_queue(self) -> None:
        """What an earlier session left in the queue waits, paused, until somebody says so."""
        if self.desk.runs.keeper is None:
            return

        def found(entries: tuple[Any, ...]) -> None:
            count = self.desk.runs.take_over(entries)
            if count:
                words = f"{count} {'run waits' if count == 1 else 'runs wait'} from the last time. The queue is paused."
                acts = (("Go on", lambda: self.desk.runs.set_paused(False)), ("Empty the queue", self.desk.runs.clear))
                self.window.notices.show_notice(Notice(words, "info", acts, "queue"))

        self.desk.runs.keeper.open(found)

    def compare_side(self, letter: str, side: Side) -> None:
        self.desk.compare.show_side(letter, side)
        self.desk.viewer_dock.show_page("compare")

    def compare_picture(self, picture: Picture) -> None:
        self.compare_side("B", Side(picture.image, picture.title, picture.name, picture.graph))

    def save_picture(self, image: QImage) -> None:
        from ui.picture import write_image

        if image.isNull():
            return
        folder = Path(self.window.settings.get("last_folder") or Path.home())
        path = self.desk.studio.questions.where_to_save(folder / "picture.png", "Pictures (*.png *.jpg *.webp)")
        if path is not None:
            write_image(image, path, self.window.notices.show_notice)

    def export_picture(self) -> None:
        """The canvas as a picture, twice its size."""
        view, document = self.desk.view, self.desk.document
        if view is not None and document is not None:
            from ui.picture import write_image

            folder = Path(self.window.settings.get("last_folder") or Path.home())
            path = self.desk.studio.questions.where_to_save(folder / f"{document.title}.png", "Pictures (*.png)")
            if path is not None:
                write_image(view.render_to_image(scale=2.0), path, self.window.notices.show_notice)

    def use_picture(self, image: QImage) -> None:
        from ui.drops import use_image

        if self.desk.view is not None:
            use_image(self.desk.view, image, self.window.folders, self.window.notices.show_notice)

    def problems_found(self, troubles: list[Trouble]) -> None:
        errors = sum(1 for trouble in troubles if trouble.problem.severity == "error")
        self.window.rail.set_problems(len(troubles), errors > 0)
        self.desk.side.set_badge("problems", str(len(troubles)) if troubles else "")
        panel = self.desk.rooms.side_pages.get("problems")
        if isinstance(panel, ProblemsPanel):
            panel.show_troubles(troubles, self.desk.document)
        self.troubles = troubles


def run_words(job: Job) -> str:
    """What the machine does, for the top bar: Painting  17 / 28  ·  4 s left."""
    if not job.node:
        return "Getting ready"
    verb = "Painting" if job.total > 1 and job.thumbnail is not None else job.note or "Running"
    parts = [verb]
    if job.total > 1:
        parts[0] += f"  {job.done:.0f} / {job.total:.0f}"
    elif job.nodes:
        parts[0] += f"  {min(job.finished + 1, job.nodes)} / {job.nodes}"
    if job.eta is not None and job.eta >= 0.5:
        parts.append(f"{seconds_words(round(job.eta)) if job.eta >= 1 else '1 s'} left")
    return "  ·  ".join(parts)
