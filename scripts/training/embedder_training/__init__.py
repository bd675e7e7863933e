"""Stages of train_embedder.py: photos, teacher and student networks, training, conversion, evaluation."""
