"""What a program of ours says on stderr: its own messages, and of the libraries only errors."""

import logging

# For these the root's level is not enough, since they set their own. timm warns of the classifier
# that a landmark detector leaves out.
_NOISY = ("accelerate", "datasets", "httpx", "httpx2", "timm", "torch")


def set_up_logging() -> None:
    """The package's own messages on stderr, and quiet libraries."""
    from transformers.utils import logging as transformers_logging  # takes seconds to import

    transformers_logging.disable_progress_bar()
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    logging.getLogger("kd_landmarks").setLevel(logging.INFO)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
