import tempfile
import unittest
from pathlib import Path

from parcelo import ImportProblem, Parcel, read_parcels


class TestImporter(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "today.csv"

    def read(self, text):
        self.path.write_text(text, encoding="utf-8")
        return read_parcels(self.path)

    def test_rows(self):
        parcels = self.read("id,weight_g,zone,priority\nA1,300,City,2\nA2,900,abroad,\n")
        self.assertEqual(
            parcels, [Parcel("A1", 300, "city", 2), Parcel("A2", 900, "abroad", 0)]
        )

    def test_priority_may_be_missing(self):
        self.assertEqual(self.read("id,weight_g,zone\nA1,300,city\n"), [Parcel("A1", 300)])

    def test_bad_weight_names_the_line(self):
        with self.assertRaises(ImportProblem) as caught:
            self.read("id,weight_g,zone\nA1,300,city\nA2,heavy,city\n")
        self.assertTrue(str(caught.exception).startswith("line 3:"))

    def test_missing_value(self):
        with self.assertRaises(ImportProblem):
            self.read("id,weight_g,zone\n,300,city\n")


if __name__ == "__main__":
    unittest.main()
