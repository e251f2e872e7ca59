import unittest

from mdslate.slug import slugify, unique
from mdslate.toc import contents


class TestSlugify(unittest.TestCase):
    def test_words(self):
        self.assertEqual(slugify("Getting  started, quickly!"), "getting-started-quickly")

    def test_accents(self):
        self.assertEqual(slugify("Über die Straße"), "uber-die-strasse")

    def test_ligatures(self):
        self.assertEqual(slugify("Ægir's Œuvre"), "aegir-s-oeuvre")

    def test_nothing_left(self):
        self.assertEqual(slugify("¡¿!?"), "section")

    def test_unique(self):
        taken = {"a"}
        self.assertEqual([unique("a", taken), unique("a", taken)], ["a-2", "a-3"])


class TestContents(unittest.TestCase):
    def test_entries(self):
        self.assertEqual(
            contents("# One\ntext\n## Two"), [(1, "One", "one"), (2, "Two", "two")]
        )


if __name__ == "__main__":
    unittest.main()
