"""Steady the label: a window vote with hysteresis and a minimum hold."""
