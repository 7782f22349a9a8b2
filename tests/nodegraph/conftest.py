"""What the tests of this room share: a registry of small nodes in folders of its own."""

import pytest
import small_nodes

from nodegraph.folders import Folders


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path / "home", tmp_path / "cache", tmp_path / "output")


@pytest.fixture
def small(folders):
    """A registry of the nodes in small_nodes.py, with folders of its own."""
    return small_nodes.registry(folders)
