"""From a user's own photos to the landmarks of the faces in them.

Nothing is imported here: what needs neither torch nor transformers is to stay usable without them.
"""
