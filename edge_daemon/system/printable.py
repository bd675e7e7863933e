"""Foreign text as one line: names of files, words of a broker, of a model or of another device."""

from __future__ import annotations

import logging
import re

# Controls, line ends, the marks that change the direction of the text behind them, and half surrogate pairs:
# the bytes of a file name that are not UTF-8. Joiners and emoji of labels stay.
_UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Return the text with escapes such as `\n` for characters that begin a line or control a terminal.

    The result can always be encoded in UTF-8.
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class OneLineFormatter(logging.Formatter):
    """Writes each log message as one line; a traceback follows it in separate lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        record.message = printable(record.message)
        return super().formatMessage(record)
