"""Facts about the machine, read from files laid out as a board's kernel and system do."""
