"""What can be wrong with an expression."""


class CronError(ValueError):
    """The expression can't be read."""


class NeverFires(CronError):
    """The expression can be read, but no date fits it (30 February)."""
