import unittest

from cronwise import CronError
from cronwise.fields import DAY_OF_WEEK, HOUR, MINUTE, MONTH, parse_field


class TestFields(unittest.TestCase):
    def test_star(self):
        self.assertEqual(parse_field("*", HOUR), frozenset(range(24)))

    def test_list_and_range(self):
        self.assertEqual(parse_field("1,5-7", HOUR), {1, 5, 6, 7})

    def test_step(self):
        self.assertEqual(parse_field("*/20", MINUTE), {0, 20, 40})

    def test_step_in_range(self):
        self.assertEqual(parse_field("8-20/4", HOUR), {8, 12, 16, 20})

    def test_names(self):
        self.assertEqual(parse_field("Jan,DEC", MONTH), {1, 12})
        self.assertEqual(parse_field("mon-fri", DAY_OF_WEEK), {1, 2, 3, 4, 5})

    def test_out_of_range(self):
        with self.assertRaises(CronError):
            parse_field("60", MINUTE)

    def test_backwards_range(self):
        with self.assertRaises(CronError):
            parse_field("9-5", HOUR)


if __name__ == "__main__":
    unittest.main()
