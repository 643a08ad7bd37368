"""The one exception family that users of the package meet."""


class KDLandmarksError(ValueError):
    """Bad input: the message names the offending value and how to mend it.

    Command lines print it without a traceback and exit with code 2.
    """
