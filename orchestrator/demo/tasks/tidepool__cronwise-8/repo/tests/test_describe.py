import unittest

from cronwise.describe import describe


class TestDescribe(unittest.TestCase):
    def test_every_minute(self):
        self.assertEqual(describe("* * * * *"), "every minute")

    def test_step(self):
        self.assertEqual(describe("*/15 * * * *"), "every 15 minutes")

    def test_daily(self):
        self.assertEqual(describe("5 4 * * *"), "every day at 04:05")

    def test_weekdays(self):
        self.assertEqual(describe("0 18 * * 1,3"), "every Mon, Wed at 18:00")

    def test_unknown_is_left_alone(self):
        self.assertEqual(describe("1 2 3 4 *"), "1 2 3 4 *")


if __name__ == "__main__":
    unittest.main()
