"""Facts about the machine, read from the files of its kernel and system under a root."""
