import unittest

from mdslate import render


class TestRender(unittest.TestCase):
    def test_heading(self):
        self.assertEqual(render("## First steps"), '<h2 id="first-steps">First steps</h2>\n')

    def test_paragraph_joins_lines(self):
        self.assertEqual(render("one\ntwo\n\nthree"), "<p>one two</p>\n<p>three</p>\n")

    def test_list(self):
        self.assertEqual(render("- a\n- *b*"), "<ul><li>a</li><li><em>b</em></li></ul>\n")

    def test_code_block_is_escaped(self):
        self.assertEqual(
            render("```\nif a < b:\n    *c*\n```"),
            "<pre><code>if a &lt; b:\n    *c*</code></pre>\n",
        )

    def test_repeated_headings_get_their_own_anchor(self):
        self.assertEqual(
            render("# Notes\n# Notes"),
            '<h1 id="notes">Notes</h1>\n<h1 id="notes-2">Notes</h1>\n',
        )


if __name__ == "__main__":
    unittest.main()
