"""Results by key: what is kept comes back equal, what is damaged is a miss, and nobody is in the way of anybody."""

import enum
import json
import os
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.cache import Cache, DiskTier, MemoryTier, is_worth_keeping
from nodegraph.codec import Unencodable, Unreadable, decode, encode, size_of

HERE = frozenset({__name__.partition(".")[0]})


class Fit(enum.Enum):
    CROP = "crop"


class Pair(NamedTuple):
    first: int
    second: str


@dataclass(frozen=True)
class Weights:
    path: Path
    stamp: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Picture:
    pixels: object
    of: Weights | None = None
    fit: Fit = Fit.CROP


@dataclass(frozen=True)
class Dangerous:
    command: str

    def __post_init__(self):
        raise AssertionError("must never be made")


def tier(folder, limit=1 << 30):
    return DiskTier(folder, limit, HERE)


def same(a, b):
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


ARRAYS = st.tuples(
    st.sampled_from(["float32", "float16", "uint8", "int64", "bool", "uint16"]), st.lists(st.integers(0, 3), max_size=3)
).map(lambda p: np.arange(int(np.prod(p[1]))).astype(p[0]).reshape(p[1]))
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=9) | ARRAYS
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_what_is_encoded_comes_back_equal(value):
    assert same(decode(b"".join(encode(value, "k")), HERE, "k"), value)


def test_frozen_dataclasses_choices_and_named_tuples_come_back_as_they_were():
    value = {
        "a": Picture(np.ones((2, 3, 3), np.float32), Weights(Path("m/x"), (1, 2))),
        "b": [Fit.CROP],
        "c": Pair(1, "x"),
        "d": bytes(5000),
    }
    back = decode(b"".join(encode(value)), HERE)
    assert back["a"].of == value["a"].of and back["a"].fit is Fit.CROP
    assert same(back["a"].pixels, value["a"].pixels)
    assert back["b"] == [Fit.CROP] and back["c"] == Pair(1, "x") and back["d"] == bytes(5000)


def test_tensors_of_every_kind_come_back_bit_equal():
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.int64, torch.bool, torch.uint8):
        tensor = torch.arange(12).reshape(3, 4).to(dtype).t()  # not contiguous
        back = decode(b"".join(encode({"x": tensor})), HERE)["x"]
        assert back.dtype == dtype and back.shape == tensor.shape
        assert torch.equal(back.contiguous().view(torch.uint8), tensor.contiguous().view(torch.uint8))
    assert decode(b"".join(encode(torch.tensor(2.5))), HERE).item() == 2.5
    assert decode(b"".join(encode(torch.empty(0, 4))), HERE).shape == (0, 4)
    assert decode(b"".join(encode(torch.ones(2, requires_grad=True))), HERE).requires_grad is False


def test_an_entry_is_a_safetensors_file_that_others_can_open(tmp_path):
    from safetensors.numpy import load_file

    store = tier(tmp_path)
    store.put("key", {"image": Picture(np.arange(6, dtype=np.float32).reshape(1, 2, 3))})
    (tensor,) = load_file(store.path("key")).values()
    np.testing.assert_array_equal(tensor, np.arange(6, dtype=np.float32).reshape(1, 2, 3))


@pytest.mark.parametrize("value", [object(), lambda: 1, {1: 2}, np.array([object()]), {"x": [{1, 2}]}, sys])
def test_what_has_no_form_on_disk_stays_in_memory_only(value, tmp_path):
    with pytest.raises(Unencodable):
        encode(value)
    cache = Cache(1 << 20, tier(tmp_path))
    cache.put("k", {"value": value}, seconds=10)
    assert cache.get("k")["value"] is value
    assert cache.disk.usage() == (0, 0)


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def test_values_nested_too_deep_are_refused_not_a_stack_overflow():
    with pytest.raises(Unencodable):
        encode(deep(5000))
    assert decode(b"".join(encode(deep(50))), HERE) == deep(50)


# -- F29: damaged and hostile entries


def test_an_entry_cut_off_anywhere_or_with_any_byte_flipped_is_a_miss_and_goes(tmp_path):
    """F29: never a wrong picture, never an error."""
    store = tier(tmp_path)
    value = {"image": Picture(np.arange(4, dtype=np.float32), Weights(Path("x")))}
    store.put("key", value)
    path = store.path("key")
    whole = path.read_bytes()
    damaged = [whole[:cut] for cut in range(0, len(whole))]
    damaged += [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(len(whole))] + [whole + b"x"]
    for content in damaged:
        path.write_bytes(content)
        found = store.get("key")
        if found is not None:  # a flipped blank between header and tensors changes nothing
            assert same(found["image"].pixels, value["image"].pixels) and found["image"].of == value["image"].of
        else:
            assert not path.exists()


def test_an_entry_under_another_key_is_a_miss(tmp_path):
    store = tier(tmp_path)
    store.put("red", {"value": 1})
    os.makedirs(store.path("blue").parent, exist_ok=True)
    os.replace(store.path("red"), store.path("blue"))
    assert store.get("blue") is None


def forged(structure, **header):
    """An entry with a right checksum that our encoder would not have written."""
    import xxhash

    text = json.dumps(structure)
    check = xxhash.xxh3_128_hexdigest(f"1\0key\0{text}\0".encode())
    head = json.dumps({"__metadata__": {"format": "1", "key": "key", "structure": text, "check": check}, **header}).encode()
    return struct.pack("<Q", len(head)) + head


@pytest.mark.parametrize(
    "structure",
    [
        {"!": "data", "class": "subprocess:Popen", "value": {"args": ["true"]}},
        {"!": "data", "class": f"{__name__}:Cache", "value": {"memory_limit": 1}},
        {"!": "data", "class": f"{__name__}:os.system", "value": {}},
        {"!": "enum", "class": f"{__name__}:Weights", "value": "x"},
        {"!": "named", "class": f"{__name__}:Weights", "value": ["x"]},
        {"!": "data", "class": f"{__name__}:Weights", "value": {"unknown": 1}},
        {"!": "array", "of": "numpy", "number": 0, "dtype": "F32", "shape": [1]},
        {"!": "float", "value": "__import__('os')"},
        {"no": "mark"},
    ],
)
def test_a_forged_entry_makes_nothing_but_data(structure):
    with pytest.raises(Unreadable):
        decode(forged(structure), HERE, "key")


def test_an_array_that_leaves_the_file_or_changes_its_type_is_refused():
    content = b"".join(encode(np.arange(4, dtype=np.float32), "key"))
    wrong_dtype = content.replace(b'"dtype":"F32"', b'"dtype":"I32"', 1)
    with pytest.raises(Unreadable):
        decode(wrong_dtype, HERE, "key")
    for offsets in ([0, 1 << 40], [8, 4], [-8, 8], [4, 16]):
        header = {"0": {"dtype": "F32", "shape": [4], "data_offsets": offsets}}
        with pytest.raises(Unreadable):
            decode(forged({"!": "array", "of": "numpy", "number": 0, "dtype": "F32", "shape": [4]}, **header) + bytes(16), HERE)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_is_unreadable_and_never_anything_else(garbage):
    with pytest.raises(Unreadable):
        decode(garbage, HERE)


# -- memory


def test_the_memory_tier_obeys_its_budget_in_bytes():
    """F23"""
    memory = MemoryTier(1000)
    for i in range(50):
        memory.put(str(i), i, 300)
        assert memory.used <= 1000
    assert [str(i) in memory for i in (46, 47, 48, 49)] == [False, True, True, True]
    memory.get("47")
    memory.put("50", 50, 300)
    assert "47" in memory and "48" not in memory
    memory.put("huge", 0, 2000)
    assert "huge" not in memory and memory.used == 900
    memory.put("49", 1, 100)
    assert memory.used == 700


def test_sizes_count_arrays_once_wherever_they_are():
    pixels = np.zeros(1_000_000, np.uint8)
    size = size_of({"a": Picture(pixels), "b": [pixels, (pixels,)]})
    assert 1_000_000 <= size < 1_010_000
    assert size_of(3) < 100


# -- disk


def test_results_survive_the_process(tmp_path):
    Cache(1 << 20, tier(tmp_path)).put("k", {"value": 7}, seconds=1)
    again = Cache(1 << 20, tier(tmp_path))
    assert again.has("k") and again.get("k") == {"value": 7}
    assert not again.has("other") and again.get("other") is None


def test_only_what_costs_more_to_make_than_to_read_goes_to_disk(tmp_path):
    assert not is_worth_keeping(0.001, 100)
    assert is_worth_keeping(1.0, 10_000_000)
    assert not is_worth_keeping(0.1, 100_000_000)
    cache = Cache(1 << 20, tier(tmp_path))
    cache.put("cheap", {"value": 1}, seconds=0.001)
    cache.put("dear", {"value": 1}, seconds=1)
    assert not cache.disk.has("cheap") and cache.disk.has("dear")


def test_the_folder_is_for_its_owner_only(tmp_path):
    store = tier(tmp_path / "cache")
    store.put("k", 1)
    if os.name != "nt":
        assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
        assert store.path("k").stat().st_mode & 0o077 == 0


def test_the_disk_budget_is_kept_and_what_was_used_last_stays(tmp_path):
    store = tier(tmp_path, limit=50_000)
    for i in range(12):
        store.put(f"k{i}", bytes(5000))
        os.utime(store.path(f"k{i}"), (1000 + i, 1000 + i)) if store.has(f"k{i}") else None
        if i >= 1:
            assert store.get("k0") == bytes(5000)  # reading makes it young again
    assert store.usage()[1] <= 50_000
    assert store.has("k0") and not store.has("k1") and store.has("k11")


def test_an_entry_larger_than_the_budget_is_not_kept(tmp_path):
    store = tier(tmp_path, limit=1000)
    assert not store.put("k", bytes(5000))
    assert store.usage() == (0, 0)


def test_what_a_dead_process_was_writing_is_swept_away(tmp_path):
    store = tier(tmp_path)
    store.put("k", 1)
    folder = store.path("k").parent
    old, new = folder / ".new-old", folder / ".new-now"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    assert store.tidy()
    assert not old.exists() and new.exists() and store.has("k")


def test_two_processes_do_not_tidy_at_once(tmp_path):
    store, other = tier(tmp_path), tier(tmp_path)
    store.put("k", bytes(100))
    with other._lock() as mine:
        assert mine
        assert not store.tidy(limit=0)
    assert store.has("k")
    assert store.tidy(limit=0) and not store.has("k")


def test_a_full_disk_or_a_folder_that_cannot_be_written_is_told_and_stops_nothing(tmp_path):
    """F2, F4"""
    (tmp_path / "file").write_text("not a folder")
    cache = Cache(1 << 20, tier(tmp_path / "file"))
    cache.put("k", {"value": 1}, seconds=1)
    assert "cannot be kept" in cache.disk.problem
    assert cache.get("k") == {"value": 1}
    full = """
import resource, signal, sys
from pathlib import Path
from nodegraph.cache import DiskTier
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = DiskTier(Path(sys.argv[1]))
assert store.put("small", bytes(100))
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
assert not store.put("large", bytes(50_000))
assert "cannot be kept" in store.problem, store.problem
assert store.get("small") == bytes(100) and store.get("large") is None
assert not list(Path(sys.argv[1]).rglob(".new-*"))
"""
    if os.name != "nt":
        subprocess.run([sys.executable, "-c", full, tmp_path / "full"], check=True)


WRITER = """
import sys
from pathlib import Path
from nodegraph.cache import DiskTier
store = DiskTier(Path(sys.argv[1]), limit=600_000)
store.put("first", bytes(5000))
print("ready", flush=True)
i = 0
while True:
    i += 1
    store.put(f"k{i % 40}", {"number": i % 40, "filler": bytes([i % 40]) * 30_000})
    found = store.get(f"k{(i * 7) % 40}")
    assert found is None or found["filler"] == bytes([found["number"]]) * 30_000 and found["number"] == (i * 7) % 40
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_killing_writers_at_any_moment_leaves_only_whole_entries(tmp_path):
    """F30: put and evict, two processes at a time, killed again and again."""
    store = DiskTier(tmp_path, limit=600_000)
    for round in range(6):
        writers = [subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE) for _ in range(2)]
        for writer in writers:
            writer.stdout.readline()
        deadline = time.monotonic() + 0.08 + 0.05 * round
        while time.monotonic() < deadline:
            for i in range(40):
                found = store.get(f"k{i}")
                assert found is None or found == {"number": i, "filler": bytes([i]) * 30_000}
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            assert writer.wait() == -signal.SIGKILL  # none stopped by itself on an assertion
            writer.stdout.close()
    present = [i for i in range(40) if store.has(f"k{i}")]
    assert present and all(store.get(f"k{i}") is not None for i in present)


def test_an_entry_deleted_while_in_use_costs_nothing_but_the_entry(tmp_path):
    """F30"""
    cache = Cache(1 << 20, tier(tmp_path))
    cache.put("k", {"value": np.arange(10)}, seconds=1)
    value = cache.get("k")
    cache.disk.clear()
    assert value["value"].sum() == 45 and cache.get("k") is not None
    cache.clear()
    assert cache.get("k") is None


def test_usage_counts_both_tiers(tmp_path):
    cache = Cache(1 << 20, tier(tmp_path))
    cache.put("k", {"value": bytes(10_000)}, seconds=1)
    usage = cache.usage()
    assert (usage.memory_entries, usage.disk_entries) == (1, 1)
    assert usage.memory_bytes >= 10_000 and usage.disk_bytes >= 10_000
    cache.clear()
    assert cache.usage().disk_entries == 0 and cache.usage().memory_bytes == 0
