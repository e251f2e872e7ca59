#!/bin/bash
set -uxo pipefail
# one stream, so that test output and results stay in order
exec 2>&1
source /opt/miniconda3/bin/activate
conda activate testbed
cd /testbed
git config --global --add safe.directory /testbed
cd /testbed
git status
git show
git -c core.fileMode=false diff e7a889dda04550bd15e6fb12bb64a363368ad3d6
source /opt/miniconda3/bin/activate
conda activate testbed
rm -f tests/test_plain.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_plain.py b/tests/test_plain.py
new file mode 100644
index 0000000..4e01fd1
--- /dev/null
+++ b/tests/test_plain.py
@@ -0,0 +1,46 @@
+import contextlib
+import io
+import tempfile
+import unittest
+from pathlib import Path
+
+from mdslate.__main__ import main
+from mdslate.plain import to_text
+
+
+class TestToText(unittest.TestCase):
+    def test_empty(self):
+        self.assertEqual(to_text(""), "")
+
+    def test_headings(self):
+        self.assertEqual(to_text("# News\n## In *May*"), "News\n====\n\nIn May\n------\n")
+
+    def test_paragraph_and_list(self):
+        self.assertEqual(to_text("one\ntwo\n\n* a\n* b"), "one two\n\n- a\n- b\n")
+
+    def test_code_block(self):
+        self.assertEqual(to_text("```\nif x:\n    *y*\n```"), "    if x:\n        *y*\n")
+
+    def test_inline(self):
+        self.assertEqual(
+            to_text("**Bold**, *soft*, `a*b*c`, [docs](https://example.org)"),
+            "Bold, soft, a*b*c, docs (https://example.org)\n",
+        )
+
+    def test_nothing_is_escaped(self):
+        self.assertEqual(to_text("R&D <3"), "R&D <3\n")
+
+
+class TestCommandLine(unittest.TestCase):
+    def test_plain(self):
+        with tempfile.TemporaryDirectory() as folder:
+            path = Path(folder) / "a.md"
+            path.write_text("# A\n", encoding="utf-8")
+            output = io.StringIO()
+            with contextlib.redirect_stdout(output):
+                self.assertEqual(main(["--plain", str(path)]), 0)
+        self.assertEqual(output.getvalue(), "A\n=\n")
+
+
+if __name__ == "__main__":
+    unittest.main()
EOF_114329324912
: '>>>>> Start Test Output'
python -u -m unittest -v tests.test_plain tests.test_html
: '>>>>> End Test Output'
rm -f tests/test_plain.py
