"""When does this cron expression fire next?"""

from .errors import CronError, NeverFires
from .expression import CronExpression
from .schedule import next_after, upcoming

__version__ = "1.0.0"

__all__ = ["CronError", "CronExpression", "NeverFires", "next_after", "upcoming"]
