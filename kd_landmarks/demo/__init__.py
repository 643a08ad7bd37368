"""The demo that people open in a browser: `kd-landmarks demo`, and the Space on Hugging Face.

Needs the extra `space`. Nothing that people upload stays: Gradio deletes photos and clips minutes
after they came, and results travel inside the page, not as files.
"""
