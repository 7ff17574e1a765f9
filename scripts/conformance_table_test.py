#!/usr/bin/env python3
"""Tests scripts/conformance-table: scripts/conformance_table_test.py"""
import pathlib
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).with_name("conformance-table")


class Table(unittest.TestCase):
    def run_on(self, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            done = subprocess.run([SCRIPT, folder], capture_output=True, text=True)
            self.assertEqual("", done.stderr)
            return done.returncode, done.stdout.splitlines()

    def test_merges(self):
        code, lines = self.run_on({
            "Letta 0.16.8/a.jsonl": '{"operation":"agents.create","result":"skipped","reason":"x"}\n{"operation":"agents.create","result":"ok"}\n'
            '{"operation":"templates.list","result":"absent","reason":"Cloud only"}\n',
            "lettatest.jsonl": '{"operation":"agents.create","result":"ok","reason":""}\n{"operation":"runs.list","result":"failed"}\n',
        })
        self.assertEqual(0, code)
        self.assertEqual([
            "operation       lettatest  Letta 0.16.8  reason where not ok",
            "agents.create   ok         ok",
            "runs.list       failed     -             no reason given (lettatest)",
            "templates.list  -          absent        Cloud only (Letta 0.16.8)",
            "lettatest: 1 failed, 1 ok",
            "Letta 0.16.8: 1 ok, 1 absent",
        ], lines)

    def test_nothing(self):
        self.assertEqual((0, ["The conformance suite left no report."]), self.run_on({}))
        code, lines = self.run_on({"lettatest/a.txt": ""})
        self.assertEqual((0, ["The conformance suite left no report for lettatest."]), (code, lines))

    def test_bad_line(self):
        for line in ["{", "[]", '{"operation":"a"}', '{"operation":"a","result":"fine"}']:
            code, lines = self.run_on({"a.jsonl": line})
            self.assertEqual(1, code, line)
            self.assertIn("cannot be read: a.jsonl:1", lines[0])


if __name__ == "__main__":
    unittest.main()
