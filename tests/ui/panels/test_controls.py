"""Every kind of editor, worked as a user would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QDropEvent, QImage, QKeyEvent, QMouseEvent, QTextCursor, QWheelEvent
from PySide6.QtWidgets import QApplication

from nodegraph.node import Color, Drawing, File, Randomize, Range, Text, Unit
from nodegraph.spec import Input
from ui.panels.choice_editor import ChoiceEditor, FileEditor
from ui.panels.controls import ColorEditor, DrawingEditor, Editor, EditorContext, LineEditor, SwitchEditor, clip_tokens, make_editor
from ui.panels.number_editor import NumberEditor, SeedEditor
from ui.panels.prompt_editor import PromptEditor, reweighted
from ui.theme import Theme

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
GUIDANCE = Input("guidance", "float", default=6.5, markers=(Range(0, 30, 0.1),))
SEED = Input("seed", "int", default=7, markers=(Range(0, 1000), Randomize()))
PROMPT = Input("text", "str", default="", markers=(Text(4, prompt=True),))
MODEL = Input("file", "path", default="", markers=(File("checkpoints", (".safetensors",)),))


@pytest.fixture
def make(qtbot: Any, dressed: Theme) -> Any:
    """An editor that is shown, with what it said."""

    def build(item: Input, value: Any, context: EditorContext | None = None) -> Any:
        editor = make_editor(item, value, None, context)
        qtbot.addWidget(editor)
        editor.resize(200, max(24, editor.sizeHint().height()))
        editor.show()
        said: list[tuple[str, Any]] = []
        editor.preview.connect(lambda v: said.append(("preview", v)))
        editor.committed.connect(lambda v: said.append(("committed", v)))
        editor.cancelled.connect(lambda: said.append(("cancelled", None)))
        return editor, said

    return build


def drag(editor: Editor, start: int, end: int, held: Qt.KeyboardModifier = NONE, release: bool = True) -> None:
    def send(kind: QEvent.Type, x: float, button: Qt.MouseButton) -> None:
        place = QPointF(x, 12)
        QApplication.sendEvent(editor, QMouseEvent(kind, place, editor.mapToGlobal(place), button, LEFT, held))

    send(QEvent.Type.MouseButtonPress, start, LEFT)
    for k in range(1, 6):
        send(QEvent.Type.MouseMove, start + (end - start) * k / 5, Qt.MouseButton.NoButton)
    if release:
        send(QEvent.Type.MouseButtonRelease, end, LEFT)


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        (GUIDANCE, NumberEditor),
        (SEED, SeedEditor),
        (PROMPT, PromptEditor),
        (MODEL, FileEditor),
        (Input("mode", "str", default="a", choices=("a", "b")), ChoiceEditor),
        (Input("tiled", "bool", default=False), SwitchEditor),
        (Input("name", "str", default=""), LineEditor),
        (Input("tint", "str", default="#000000", markers=(Color(),)), ColorEditor),
        (Input("mask", "str", default="", markers=(Drawing(),)), DrawingEditor),
    ],
)
def test_each_kind_of_input_gets_its_editor(make: Any, item: Input, kind: type[Editor]) -> None:
    editor, said = make(item, item.default)
    assert type(editor) is kind
    assert not editor.grab().isNull()
    assert said == []


def test_a_scrub_previews_on_its_way_and_commits_once(make: Any) -> None:
    editor, said = make(GUIDANCE, 6.5)
    drag(editor, 50, 100)
    assert [kind for kind, _ in said].count("committed") == 1
    assert said[-1] == ("committed", 14.0)
    assert all(kind == "preview" for kind, _ in said[:-1]) and len(said) > 3


def test_escape_lets_go_of_a_scrub(make: Any, qtbot: Any) -> None:
    editor, said = make(GUIDANCE, 6.5)
    drag(editor, 50, 100, release=False)
    qtbot.keyClick(editor, Qt.Key.Key_Escape)
    assert said[-2:] == [("preview", 6.5), ("cancelled", None)]


def test_a_typed_sum_is_taken_and_nonsense_stays_with_its_reason(make: Any, qtbot: Any) -> None:
    editor, said = make(GUIDANCE, 6.5)
    editor.begin()
    editor.line.setText("x*2")
    qtbot.keyClick(editor.line, Qt.Key.Key_Return)
    assert said == [("committed", 13.0)]
    editor.begin()
    editor.line.setText("99")
    qtbot.keyClick(editor.line, Qt.Key.Key_Return)
    assert editor.line.isVisible() and editor.problem == "‘Guidance’ lies between 0.0 and 30.0."
    assert len(said) == 1


def test_the_wheel_changes_a_number_only_when_it_has_the_focus(make: Any, qtbot: Any) -> None:
    editor, said = make(GUIDANCE, 6.5)
    editor.clearFocus()

    def turn() -> None:
        place = QPointF(100, 12)
        QApplication.sendEvent(
            editor,
            QWheelEvent(
                place,
                editor.mapToGlobal(place),
                QPoint(),
                QPoint(0, 120),
                Qt.MouseButton.NoButton,
                NONE,
                Qt.ScrollPhase.NoScrollPhase,
                False,
            ),
        )

    turn()
    assert said == []
    editor.activateWindow()
    editor.setFocus()
    qtbot.waitUntil(editor.hasFocus)
    turn()
    assert said == [("committed", 6.6)]


def test_keys_step_a_number_and_a_digit_begins_to_type(make: Any, qtbot: Any) -> None:
    editor, said = make(Input("width", "int", default=512, markers=(Range(64, 2048, 8), Unit("px"))), 512)
    qtbot.keyClick(editor, Qt.Key.Key_Up)
    qtbot.keyClick(editor, Qt.Key.Key_Down, Qt.KeyboardModifier.ControlModifier)
    assert [value for _, value in said] == [520, 440]
    qtbot.keyClick(editor, Qt.Key.Key_7)
    assert editor.line.isVisible() and editor.line.text() == "7"


def test_the_dice_draws_a_seed_inside_its_range(make: Any) -> None:
    editor, said = make(SEED, 7)
    editor.draw()
    assert said[0][0] == "committed" and 0 <= said[0][1] <= 1000


def test_a_choice_is_found_by_typing_and_taken_with_return(make: Any, qtbot: Any) -> None:
    editor, said = make(Input("sampler", "str", default="s0", choices=tuple(f"s{k}" for k in range(20))), "s0")
    editor.begin()
    chooser = editor.chooser
    qtbot.keyClicks(chooser.search, "s17")
    qtbot.keyClick(chooser.search, Qt.Key.Key_Return)
    assert said[0] == ("committed", "s17")


def test_files_can_be_filtered_by_family_and_a_missing_one_keeps_its_name(make: Any, qtbot: Any) -> None:
    context = EditorContext(
        files=lambda marker: ["a.safetensors", "b.safetensors", "c.safetensors"],
        path_of=lambda marker, name: None if name == "gone.safetensors" else Path(name),
        family_of=lambda marker, name: {"a.safetensors": "SDXL", "b.safetensors": "SD 1.5"}.get(name),
    )
    editor, _ = make(MODEL, "gone.safetensors", context)
    assert editor.missing and editor.value == "gone.safetensors"
    editor.open()
    chooser = editor.chooser
    qtbot.waitUntil(chooser.family.isVisible)
    chooser.family.setCurrentText("SDXL")
    shown = [chooser.list.item(k).text() for k in range(chooser.list.count()) if not chooser.list.item(k).isHidden()]
    assert shown == ["a.safetensors", "c.safetensors"]
    chooser.close()


def test_pictures_are_chosen_by_their_thumbnails(make: Any, qtbot: Any, tmp_path: Path) -> None:
    picture = QImage(80, 40, QImage.Format.Format_RGB32)
    picture.fill(QColor("#336699"))
    picture.save(str(tmp_path / "sea.png"))
    context = EditorContext(files=lambda marker: ["sea.png"], path_of=lambda marker, name: tmp_path / name)
    editor, _ = make(Input("file", "path", default="", markers=(File("input", (".png",)),)), "", context)
    editor.open()
    entry = editor.chooser.list.item(0)

    def middle() -> str:
        return entry.icon().pixmap(40, 40).toImage().pixelColor(20, 10).name()

    qtbot.waitUntil(lambda: middle() == "#336699")
    editor.chooser.close()


def test_a_file_of_the_user_s_folders_is_kept_by_its_name_there(make: Any, tmp_path: Path) -> None:
    context = EditorContext(name_of=lambda marker, path: path.relative_to(tmp_path).as_posix(), path_of=lambda marker, name: tmp_path / name)
    editor, said = make(Input("file", "path", default="", markers=(File("input", (".png",)),)), "", context)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(tmp_path / "deer" / "one.png"))])
    editor.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, mime, LEFT, NONE))
    assert said == [("committed", "deer/one.png")]


def test_a_picture_dropped_on_a_file_field_is_taken(make: Any, tmp_path: Path) -> None:
    editor, said = make(Input("file", "path", default="", markers=(File("input", (".png",)),)), "")
    for name in ("deer.png", "deer.exe"):
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(str(tmp_path / name))])
        editor.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, mime, LEFT, NONE))
    assert said == [("committed", (tmp_path / "deer.png").as_posix())]


def test_a_burst_of_typing_is_committed_when_the_field_is_left(make: Any, qtbot: Any) -> None:
    editor, said = make(PROMPT, "a deer")
    editor.begin()
    qtbot.keyClicks(editor.area, " in snow")
    editor.finish()
    assert said == [("committed", "a deer in snow")]


def test_a_shortcut_such_as_run_finds_what_was_just_typed(make: Any, qtbot: Any) -> None:
    for item, area in ((PROMPT, "area"), (Input("name", "str", default=""), "line")):
        editor, said = make(item, "a")
        editor.begin()
        qtbot.keyClicks(getattr(editor, area), "b")
        event = QKeyEvent(QEvent.Type.ShortcutOverride, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
        QApplication.sendEvent(getattr(editor, area), event)
        assert said[-1][0] == "committed" and "b" in said[-1][1]


def test_escape_leaves_a_prompt_and_keeps_its_words(make: Any, qtbot: Any) -> None:
    editor, said = make(PROMPT, "a deer")
    editor.begin()
    qtbot.keyClicks(editor.area, "s")
    qtbot.keyClick(editor.area, Qt.Key.Key_Escape)
    assert said[-2:] == [("committed", "a deers"), ("cancelled", None)]


def test_ctrl_up_weighs_the_selected_words(make: Any, qtbot: Any) -> None:
    editor, _ = make(PROMPT, "a deer in soft rim light, snow")
    editor.begin()
    cursor = editor.area.textCursor()
    cursor.setPosition(10)
    cursor.setPosition(24, QTextCursor.MoveMode.KeepAnchor)
    editor.area.setTextCursor(cursor)
    qtbot.keyClick(editor.area, Qt.Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
    assert editor.text() == "a deer in (soft rim light:1.1), snow"
    qtbot.keyClick(editor.area, Qt.Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
    assert editor.text() == "a deer in (soft rim light:1.2), snow"
    editor.area.undo()
    assert editor.text() == "a deer in (soft rim light:1.1), snow"


@pytest.mark.parametrize(
    ("text", "start", "end", "change", "result"),
    [
        ("deer", 2, 2, 0.1, "(deer:1.1)"),
        ("(deer:1.1)", 3, 3, -0.1, "deer"),
        ("(deer)", 2, 2, 0.1, "(deer:1.2)"),
        ("a, b", 0, 3, 0.1, "(a:1.1), b"),
        ("(deer:1.0) b", 0, 10, 0.1, "(deer:1.1) b"),
        ("", 0, 0, 0.1, ""),
    ],
)
def test_weights(text: str, start: int, end: int, change: float, result: str) -> None:
    assert reweighted(text, start, end, change)[0] == result


def test_tokens_are_counted_as_clip_does() -> None:
    """ "a photo of an astronaut riding a horse on mars" is 10 tokens without begin and end (CLIP ViT-L/14)."""
    pytest.importorskip("tokenizers")
    assert clip_tokens("a photo of an astronaut riding a horse on mars") == 10
    assert clip_tokens("(a photo:1.3) <lora:x:1> of") == 3


def test_a_colour_is_typed_with_or_without_its_sign_and_nonsense_is_marked(make: Any) -> None:
    editor, said = make(Input("tint", "str", default="#000000", markers=(Color(),)), "#000000")
    editor.line.setText("ff8800")
    editor.finish()
    editor.line.setText("orange-ish")
    editor.finish()
    assert said == [("committed", "#ff8800")]
    assert editor.line.property("problem")


def test_a_value_from_outside_is_shown_and_not_told(make: Any) -> None:
    for item, value in ((GUIDANCE, 3.0), (PROMPT, "b"), (MODEL, "x"), (Input("n", "str", default=""), "b")):
        editor, said = make(item, item.default)
        editor.set_value(value)
        assert editor.value == value and said == []
