"""Measurements of `edge-daemon bench`, each with a baseline from the same run."""
