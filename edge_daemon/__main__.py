"""`python -m edge_daemon` is `edge-daemon`."""

import sys

from edge_daemon.cli.main import main

sys.exit(main())
