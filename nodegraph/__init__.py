"""The engine of Nodegraph: graphs, plans and runs. It knows nothing of torch, of Qt, or of any particular node."""

__version__ = "0.1.0"
