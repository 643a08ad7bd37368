"""Files, ids, numbers and words: what every room needs. Imports neither torch nor transformers."""
