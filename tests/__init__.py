"""Tests of edge_daemon.

numpy's linear algebra uses one thread, as in the daemon: several tests run at once, and the threads of each
would wait for the processors of the others.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # it counts before numpy is imported
