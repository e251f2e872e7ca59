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
git -c core.fileMode=false diff 8410ae88f16e653ebc54d835c7bdc8b1d4a02af5
source /opt/miniconda3/bin/activate
conda activate testbed
git checkout 8410ae88f16e653ebc54d835c7bdc8b1d4a02af5 tests/test_slug.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_slug.py b/tests/test_slug.py
index 0180c3e..8a3b7f8 100644
--- a/tests/test_slug.py
+++ b/tests/test_slug.py
@@ -14,6 +14,14 @@ class TestSlugify(unittest.TestCase):
     def test_ligatures(self):
         self.assertEqual(slugify("Ægir's Œuvre"), "aegir-s-oeuvre")
 
+    def test_letters_with_strokes(self):
+        self.assertEqual(slugify("Øresund, København, Łódź"), "oresund-kobenhavn-lodz")
+        self.assertEqual(slugify("Đorđe"), "dorde")
+
+    def test_thorn_and_dotless_i(self):
+        self.assertEqual(slugify("Þingvellir"), "thingvellir")
+        self.assertEqual(slugify("Kapalı Çarşı"), "kapali-carsi")
+
     def test_nothing_left(self):
         self.assertEqual(slugify("¡¿!?"), "section")
 
EOF_114329324912
: '>>>>> Start Test Output'
python -u -m unittest -v tests.test_slug
: '>>>>> End Test Output'
git checkout 8410ae88f16e653ebc54d835c7bdc8b1d4a02af5 tests/test_slug.py
