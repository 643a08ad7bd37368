"""Distillation: frozen teachers, their targets, and the training of every network."""
