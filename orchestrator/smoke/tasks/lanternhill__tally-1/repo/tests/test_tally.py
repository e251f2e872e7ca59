import unittest

from tally import most_common, tally


class TestTally(unittest.TestCase):
    def test_counts_words(self):
        self.assertEqual(tally("a rose is a rose"), {"a": 2, "rose": 2, "is": 1})

    def test_case_does_not_matter(self):
        self.assertEqual(tally("Don't, don't!"), {"don't": 2})

    def test_most_common(self):
        self.assertEqual(most_common("c b a b", limit=2), [("b", 2), ("a", 1)])


if __name__ == "__main__":
    unittest.main()
