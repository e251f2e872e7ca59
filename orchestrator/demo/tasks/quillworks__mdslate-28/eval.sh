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
git -c core.fileMode=false diff af77d69e6c622abeaf192d7612af1b36ef75f191
source /opt/miniconda3/bin/activate
conda activate testbed
git checkout af77d69e6c622abeaf192d7612af1b36ef75f191 tests/test_inline.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_inline.py b/tests/test_inline.py
index 2455322..5cf6425 100644
--- a/tests/test_inline.py
+++ b/tests/test_inline.py
@@ -28,5 +28,16 @@ class TestInline(unittest.TestCase):
         self.assertEqual(render_inline("R&D <3"), "R&amp;D &lt;3")
 
 
+    def test_no_markup_in_code(self):
+        self.assertEqual(render_inline("`a*b*c`"), "<code>a*b*c</code>")
+        self.assertEqual(
+            render_inline("`*args`, `**kwargs`"), "<code>*args</code>, <code>**kwargs</code>"
+        )
+        self.assertEqual(render_inline("`f[0](x)`"), "<code>f[0](x)</code>")
+
+    def test_digits_around_code(self):
+        self.assertEqual(render_inline("1 `2` 3 `4`"), "1 <code>2</code> 3 <code>4</code>")
+
+
 if __name__ == "__main__":
     unittest.main()
EOF_114329324912
: '>>>>> Start Test Output'
python -u -m unittest -v tests.test_inline tests.test_html
: '>>>>> End Test Output'
git checkout af77d69e6c622abeaf192d7612af1b36ef75f191 tests/test_inline.py
