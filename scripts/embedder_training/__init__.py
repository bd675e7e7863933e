"""The parts of `scripts/train_embedder.py`: photos, teacher, network, training, conversion, measuring."""
