"""The demo that people open in a browser: `kd-landmarks demo`, and the Space on Hugging Face.

Needs the extra `space`. Nothing that people upload stays: photos and clips are deleted once they
have been read, and results travel inside the page, not as files.
"""
