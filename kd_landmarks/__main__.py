"""`python -m kd_landmarks`: the `kd-landmarks` command, where its script is not on the path."""

from .cli import main

main()
