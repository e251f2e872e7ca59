import unittest

from parcelo import Conveyor, Parcel


def ids(parcels):
    return [parcel.id for parcel in parcels]


class TestConveyor(unittest.TestCase):
    def test_priority_leaves_first(self):
        parcels = [Parcel("a", 100), Parcel("b", 100, priority=5), Parcel("c", 100)]
        self.assertEqual(ids(Conveyor(quiet=True).run(parcels)), ["b", "a", "c"])

    def test_empty(self):
        with self.assertRaises(IndexError):
            Conveyor(quiet=True).leave()

    def test_length(self):
        belt = Conveyor(quiet=True)
        belt.arrive(Parcel("a", 100))
        self.assertEqual(len(belt), 1)

    def test_morning_shift(self):
        parcels = [Parcel(f"M{n:05}", 100 + n % 400, priority=n % 3) for n in range(1998)]
        left = Conveyor().run(parcels)
        self.assertEqual(sorted(ids(left)), ids(parcels))
        self.assertEqual([p.priority for p in left], [2] * 666 + [1] * 666 + [0] * 666)


if __name__ == "__main__":
    unittest.main()
