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
git -c core.fileMode=false diff da088f292d7e2229f8eb09a3998dfb7060dc654a
source /opt/miniconda3/bin/activate
conda activate testbed
git checkout da088f292d7e2229f8eb09a3998dfb7060dc654a tests/test_importer.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_importer.py b/tests/test_importer.py
index 0e2467e..3e108c9 100644
--- a/tests/test_importer.py
+++ b/tests/test_importer.py
@@ -34,5 +34,17 @@ class TestImporter(unittest.TestCase):
             self.read("id,weight_g,zone\n,300,city\n")
 
 
+    def test_byte_order_mark(self):
+        self.assertEqual(
+            self.read("\ufeffid,weight_g,zone\r\nÄ1,300,city\r\n"), [Parcel("Ä1", 300)]
+        )
+
+    def test_byte_order_mark_and_quotes(self):
+        self.assertEqual(
+            self.read('\ufeff"id","weight_g","zone"\r\n"A1","300","city"\r\n'),
+            [Parcel("A1", 300)],
+        )
+
+
 if __name__ == "__main__":
     unittest.main()
EOF_114329324912
: '>>>>> Start Test Output'
python -u -m unittest -v tests.test_importer
: '>>>>> End Test Output'
git checkout da088f292d7e2229f8eb09a3998dfb7060dc654a tests/test_importer.py
