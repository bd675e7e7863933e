"""Facts about the machine, read from files of its kernel and system; `root` is the folder of these files."""
