"""The vocabulary between front end and worker: what goes in comes out, and nothing else does."""

import io
import json
import typing
from collections.abc import Mapping
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph import messages
from nodegraph.messages import Frame, Hello, Progress, ProtocolError, Run, Shown, Stop

TEXT = st.text(max_size=20)


@st.composite
def frames(draw):
    width, height, channels = draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.sampled_from([1, 3, 4]))
    return Frame(width, height, channels, draw(st.binary(min_size=width * height * channels, max_size=width * height * channels)))


BY_TYPE = {
    str: TEXT,
    int: st.integers(-(2**63), 2**64 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300),
    bool: st.booleans(),
    Frame: frames(),
    tuple[str, ...]: st.lists(TEXT, max_size=3).map(tuple),
    Mapping[str, str]: st.dictionaries(TEXT, TEXT, max_size=3),
    Mapping[str, tuple[float, ...]]: st.dictionaries(TEXT, st.lists(st.floats(-1e6, 1e6), max_size=4).map(tuple), max_size=3),
    float | None: st.none() | st.floats(-1e6, 1e6),
    Frame | None: st.none() | frames(),
}


def any_message():
    def build(kind):
        hints = typing.get_type_hints(kind)
        literal = typing.Literal
        return st.builds(
            kind,
            **{
                item.name: st.sampled_from(typing.get_args(hints[item.name]))
                if typing.get_origin(hints[item.name]) is literal
                else BY_TYPE[hints[item.name]]
                for item in fields(kind)
            },
        )

    return st.sampled_from(sorted(messages.MESSAGES)).flatmap(lambda name: build(messages.MESSAGES[name]))


@settings(max_examples=150)
@given(st.lists(any_message(), min_size=1, max_size=4))
def test_messages_come_out_of_a_pipe_as_they_went_in(sent):
    pipe = io.BytesIO()
    for message in sent:
        messages.write(pipe, message)
    pipe.seek(0)
    received = []
    while (message := messages.read(pipe)) is not None:
        received.append(message)
    assert received == sent


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_garbage_is_refused_and_never_raises_anything_else(garbage):
    try:
        messages.read(io.BytesIO(garbage))
    except ProtocolError:
        pass
    try:
        messages.from_wire(garbage)
    except ProtocolError:
        pass


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"type":"stop","job":"1","more":2}', "unknown field 'more'"),
        ('{"type":"stop","__class__":"x","job":"1"}', "unknown field '__class__'"),
        ('{"type":"stop"}', "lacks 'job'"),
        ('{"type":"stop","job":1}', "at 'job'"),
        ('{"type":"stop","job":"1","job":"2"}', "twice"),
        ('{"type":"eval","job":"1"}', "no known type"),
        ('{"type":["stop"],"job":"1"}', "no known type"),
        ('["stop"]', "no known type"),
        ('{"type":"progress","job":"1","node":"n","done":NaN,"total":1}', "not a number"),
        ('{"type":"progress","job":"1","node":"n","done":1e999,"total":1}', "at 'done'"),
        ('{"type":"progress","job":"1","node":"n","done":true,"total":1}', "at 'done'"),
        ('{"type":"run","job":"1","graph":"{}","preview":true}', "at 'preview'"),
        ('{"type":"run","job":"1","graph":"{}","targets":[["a"]]}', "at 'targets'"),
        ('{"type":"done","job":"1","state":"perfect"}', "at 'state'"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_hostile_message_is_refused_with_the_place(text, words):
    with pytest.raises(ProtocolError, match=words):
        messages.from_wire(text.encode())


def test_a_picture_whose_bytes_do_not_fit_its_size_is_refused():
    shown = '{"type":"shown","job":"1","node":"n","picture":{"width":2,"height":2,"channels":3}}'
    assert messages.from_wire(shown, bytes(12)).picture == Frame(2, 2, 3, bytes(12))
    for payload in (b"", bytes(11), bytes(13)):
        with pytest.raises(ProtocolError):
            messages.from_wire(shown, payload)


def test_a_payload_that_nothing_refers_to_is_refused():
    with pytest.raises(ProtocolError, match="payload"):
        messages.from_wire('{"type":"stop","job":"1"}', b"x")


def test_a_pipe_that_ends_inside_a_message_is_an_end_not_an_error():
    head, payload = messages.to_wire(Shown("1", "n", Frame(2, 2, 3, bytes(12))))
    whole = head + payload
    for cut in range(len(whole)):
        assert messages.read(io.BytesIO(whole[:cut])) is None


def test_a_message_that_claims_to_be_huge_is_refused_before_it_is_read():
    with pytest.raises(ProtocolError, match="larger"):
        messages.read(io.BytesIO(messages.HEADER.pack(2**32 - 1, 0) + b"x"))


def test_infinite_seconds_left_are_sent_as_unknown():
    head, _ = messages.to_wire(Progress("1", "n", 1, 2, eta=float("inf")))
    assert messages.from_wire(head[8:]).eta is None


def test_a_large_picture_is_shrunk_to_the_limit_by_averaging():
    board = np.indices((1024, 512)).sum(0) % 2 * 255
    frame = Frame.of(np.repeat(board[:, :, None], 3, 2).astype(np.uint8), limit=512)
    assert (frame.width, frame.height, frame.channels) == (256, 512, 3)
    assert set(frame.pixels) <= {127, 128}


def test_what_is_no_picture_cannot_become_a_frame():
    for wrong in (np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            Frame.of(wrong)


def test_the_json_of_an_event_is_one_flat_line_with_its_type_first():
    line = json.dumps(messages.to_json(Progress("1", "sample", 3, 20, sigma=1.5, frame=Frame(1, 1, 3, b"abc"))))
    assert line.startswith('{"type": "progress", "job": "1", "node": "sample", "done": 3, "total": 20')
    assert "\n" not in line and "abc" not in line
    assert messages.to_json(Hello(1, 2))["protocol"] == 1
    assert messages.to_json(Run("1", "{}", ("a",)))["targets"] == ["a"]
    assert messages.to_json(Stop("7")) == {"type": "stop", "job": "7"}
