import unittest
from datetime import datetime

from cronwise import CronError, CronExpression, NeverFires, next_after, upcoming


def after(text, *moment):
    return next_after(CronExpression.parse(text), datetime(*moment))


class TestNextAfter(unittest.TestCase):
    def test_same_day(self):
        self.assertEqual(after("30 6 * * *", 2024, 5, 3, 2), datetime(2024, 5, 3, 6, 30))

    def test_is_strictly_later(self):
        self.assertEqual(after("0 6 * * *", 2024, 5, 3, 6), datetime(2024, 5, 4, 6))

    def test_weekdays(self):
        self.assertEqual(after("0 9 * * mon-fri", 2024, 5, 3, 12), datetime(2024, 5, 6, 9))

    def test_seven_is_sunday(self):
        self.assertEqual(after("0 0 * * 7", 2024, 5, 3), datetime(2024, 5, 5))

    def test_leap_day(self):
        self.assertEqual(after("0 0 29 2 *", 2097, 1, 1), datetime(2104, 2, 29))

    def test_impossible_date(self):
        with self.assertRaises(NeverFires):
            after("0 0 30 2 *", 2024, 1, 1)

    def test_upcoming(self):
        times = upcoming(CronExpression.parse("@hourly"), datetime(2024, 5, 3, 22, 30), 2)
        self.assertEqual(times, [datetime(2024, 5, 3, 23), datetime(2024, 5, 4)])

    def test_field_count(self):
        with self.assertRaises(CronError):
            CronExpression.parse("* * * *")


if __name__ == "__main__":
    unittest.main()
