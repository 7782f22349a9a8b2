"""For all tests: one thread of arithmetic in each process.

Tiny networks gain nothing from more, and where several processes share the cores (`pytest -n 2`), threads that wait for each other
burn many times the time of the work itself.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
