#!/usr/bin/env python3
"""Every broken input of the generated corpus ends with its documented exit code and a message that names the fault."""
import os
import subprocess
import sys
import unittest

from support import PTQ, ROOT, CliTestCase


class Hostile(CliTestCase):
    def test_the_whole_corpus(self):
        scripts = os.path.join(ROOT, "scripts")
        corpus = self.path("corpus")
        subprocess.run([sys.executable, os.path.join(scripts, "make_hostile_corpus.py"), corpus], check=True)
        subprocess.run([sys.executable, os.path.join(scripts, "run_hostile_corpus.py"), PTQ, corpus], check=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
