"""What `edge-daemon bench` measures; every figure stands beside its bare counterpart from the same run."""
