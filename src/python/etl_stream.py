"""What etl-stream offers to the Python modules that it runs."""


class Error(Exception):
    """An error in the author's own words: they are logged, so they must not hold what rows hold.

    What any other exception says stays out of the log; only its type and place are told.
    This one is passing: the pipeline starts again after a pause.
    """

    severity = "retry"

    def __init__(self, message, hint=""):
        super().__init__(message)
        self.hint = hint


class ConfigError(Error):
    """The user has to change something first; the pipeline stays down until then."""

    severity = "config"


class DataError(Error):
    """This one table cannot go on; the others do."""

    severity = "data"
