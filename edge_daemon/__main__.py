"""`python -m edge_daemon` is `edge-daemon`."""

import sys

from edge_daemon.system.interrupt import end_at_interrupt


def main() -> int:
    """Run the command line and return its exit status."""
    end_at_interrupt()
    from edge_daemon.cli.main import main as run_command_line  # late: its imports can be interrupted

    return run_command_line()


if __name__ == "__main__":
    sys.exit(main())
