import unittest

from ledger import balance_report, parse_journal, register_report

TEXT = """\
2024-03-01 Greengrocer
    expenses:food      12.50 EUR
    assets:cash
"""


class TestReport(unittest.TestCase):
    def test_balance_report(self):
        self.assertEqual(
            balance_report(parse_journal(TEXT)).splitlines(),
            ["      -12.50 EUR  assets:cash", "       12.50 EUR  expenses:food"],
        )

    def test_register_report(self):
        line = register_report(parse_journal(TEXT), "assets:cash")
        self.assertTrue(line.startswith("2024-03-01  Greengrocer"))
        self.assertTrue(line.endswith("-12.50 EUR"))


if __name__ == "__main__":
    unittest.main()
