"""Output that nobody reads is dropped and holds nobody up."""

from __future__ import annotations

import os
import subprocess
import sys

SCRIPT = """
import logging, sys
from edge_daemon.cli.actuator import print_json
from edge_daemon.system.unblocked_output import drop_unread_logs
logging.basicConfig(stream=sys.stderr, level=logging.INFO)
drop_unread_logs()
for number in range(5000):
    print_json(output="nut", number=number)
    logging.info("line %d", number)
"""


def test_a_program_whose_output_and_log_nobody_reads_comes_to_its_end() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.wait(20) == 0
        output, log = process.communicate()
    assert 10 < len(output.splitlines()) < 5000, "what fits into the pipe is kept"
    assert all(line.endswith("}") for line in output.splitlines())
    assert 10 < len(log.splitlines()) < 5000


def test_every_line_that_is_read_arrives(tmp_path: os.PathLike[str]) -> None:
    with open(os.path.join(tmp_path, "out"), "w+") as output:
        subprocess.run([sys.executable, "-c", SCRIPT], stdout=output, stderr=subprocess.DEVNULL, check=True)
        output.seek(0)
        assert len(output.readlines()) == 5000
