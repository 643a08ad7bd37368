"""`kd-landmarks train` as a script: accelerate launch train_accelerate.py …; --help tells more."""

import sys

from kd_landmarks.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
