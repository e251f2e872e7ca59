import unittest

from parcelo import Parcel, TooHeavy, price_cents
from parcelo.rates import total_cents


class TestRates(unittest.TestCase):
    def test_city(self):
        self.assertEqual(price_cents(Parcel("a", 1200)), 450)

    def test_zone_factor(self):
        self.assertEqual(price_cents(Parcel("a", 1200, "abroad")), 1125)

    def test_rounded_up(self):
        self.assertEqual(price_cents(Parcel("a", 9000, "country")), 1260)

    def test_too_heavy(self):
        with self.assertRaises(TooHeavy):
            price_cents(Parcel("a", 40000))

    def test_total(self):
        self.assertEqual(total_cents([Parcel("a", 100), Parcel("b", 4000)]), 980)


if __name__ == "__main__":
    unittest.main()
