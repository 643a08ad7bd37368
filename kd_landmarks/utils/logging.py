"""Logging setup of the command line: our own messages, and errors alone of the libraries."""

import logging

from .cache import usable_cache

# For these the root's level is not enough, since they set their own. timm warns of the classifier
# that a landmark detector leaves out.
_NOISY = ("accelerate", "datasets", "httpx", "httpx2", "timm", "torch")


def set_up_logging(light: bool = False) -> None:
    """The package's own messages on stderr, and quiet libraries.

    Args:
        light: for programs that do without transformers, which takes seconds to import.
    """
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    logging.getLogger("kd_landmarks").setLevel(logging.INFO)
    if not light:
        usable_cache()
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
