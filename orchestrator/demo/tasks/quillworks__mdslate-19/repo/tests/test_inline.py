import unittest

from mdslate.inline import render_inline


class TestInline(unittest.TestCase):
    def test_emphasis_and_strong(self):
        self.assertEqual(
            render_inline("*a* and **b**"), "<em>a</em> and <strong>b</strong>"
        )

    def test_code(self):
        self.assertEqual(render_inline("call `f()` now"), "call <code>f()</code> now")

    def test_code_is_escaped(self):
        self.assertEqual(render_inline("`a < b`"), "<code>a &lt; b</code>")

    def test_code_within_emphasis(self):
        self.assertEqual(render_inline("*see `f` now*"), "<em>see <code>f</code> now</em>")

    def test_link(self):
        self.assertEqual(
            render_inline("[docs](https://example.org/a)"),
            '<a href="https://example.org/a">docs</a>',
        )

    def test_escape(self):
        self.assertEqual(render_inline("R&D <3"), "R&amp;D &lt;3")


if __name__ == "__main__":
    unittest.main()
