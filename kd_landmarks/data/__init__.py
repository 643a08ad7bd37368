"""Faces in: loading, checking, cropping, augmenting, and generated ones."""
