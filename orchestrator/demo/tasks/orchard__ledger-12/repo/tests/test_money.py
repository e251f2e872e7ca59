import unittest

from ledger import CurrencyMismatch, Money


class TestMoney(unittest.TestCase):
    def test_of(self):
        self.assertEqual(Money.of("12.50", "EUR").minor, 1250)

    def test_of_refuses_fractions_of_a_cent(self):
        with self.assertRaises(ValueError):
            Money.of("0.005", "EUR")

    def test_str(self):
        self.assertEqual(str(Money(-905, "USD")), "-9.05 USD")

    def test_add_and_subtract(self):
        total = Money(100, "EUR") + Money(25, "EUR") - Money(5, "EUR")
        self.assertEqual(total, Money(120, "EUR"))

    def test_currencies_do_not_mix(self):
        with self.assertRaises(CurrencyMismatch):
            Money(1, "EUR") + Money(1, "USD")


class TestAllocate(unittest.TestCase):
    def test_even(self):
        self.assertEqual(Money(100, "EUR").allocate([1, 1]), [Money(50, "EUR")] * 2)

    def test_remainder_goes_to_the_first(self):
        shares = [share.minor for share in Money(100, "EUR").allocate([1, 1, 1])]
        self.assertEqual(shares, [34, 33, 33])

    def test_weights_must_be_positive(self):
        with self.assertRaises(ValueError):
            Money(100, "EUR").allocate([0, 0])


if __name__ == "__main__":
    unittest.main()
