# SPDX-License-Identifier: Apache-2.0
"""One verdict: `shmbrokerd --check` and `shmbrokerctl check` say the same about every configuration
that the unit tests keep, good or broken, and change nothing."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SHMBROKERD = os.environ.get('SHMBROKERD')
SHMBROKERCTL = os.environ['SHMBROKERCTL']
DATA = os.path.join(os.environ['SHMBROKER_ROOT'], 'tests', 'unit', 'data', 'config')

# Too large for the machine of the unit tests, perhaps not for this one.
BY_MACHINE = ('total-over-default.yaml', 'total-over-memory.yaml', 'total-over-shm.yaml')

SKIP = 77
EX_CONFIG = 78
PRINTABLE = set(range(0x20, 0x7f)) | {0x0a}


def say(*arguments, cwd):
    result = subprocess.run(arguments, cwd=cwd, stdin=subprocess.DEVNULL, timeout=60,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return result.returncode, result.stdout, result.stderr


class Verdict(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='shmb-check-')
        self.addCleanup(shutil.rmtree, self.folder)

    def judge(self, kind):
        """Both programs on each file of a folder: (name, verdict, output, errors)."""
        for name in sorted(os.listdir(os.path.join(DATA, kind))):
            if not name.endswith('.yaml'):
                continue
            # A checkout may belong to anybody and be writable by a group; a copy is ours alone.
            with open(os.path.join(DATA, kind, name), 'rb') as source, \
                    open(os.path.join(self.folder, name), 'wb') as copy:
                copy.write(source.read())
            os.chmod(os.path.join(self.folder, name), 0o600)

            daemon = say(SHMBROKERD, '--config', name, '--runtime-dir', 'runtime', '--check',
                         cwd=self.folder)
            ctl = say(SHMBROKERCTL, 'check', name, cwd=self.folder)
            self.assertEqual(daemon[1:], ctl[1:], name)
            self.assertIn((daemon[0], ctl[0]), ((0, 0), (EX_CONFIG, 1)), name)
            self.assertEqual(os.listdir(self.folder), [name])
            os.unlink(os.path.join(self.folder, name))
            yield name, daemon[0], daemon[1], daemon[2]

    def test_broken_files(self):
        n = 0
        for name, status, out, err in self.judge('broken'):
            if name in BY_MACHINE and status == 0:
                continue
            self.assertEqual((status, out), (EX_CONFIG, b''), name)
            # each line tells where, the last one how many
            *lines, count = err.decode().splitlines()
            for line in lines:
                self.assertTrue(line.startswith(name + ':'), line)
            self.assertRegex(count, r'^\d+ errors?\b')
            self.assertLessEqual(set(err), PRINTABLE, name)
            n += 1
        self.assertGreaterEqual(n, 60)

    def test_good_files(self):
        # Users of the tests' world may be missing here: then that is all that is wrong.
        for name, status, out, err in self.judge('good'):
            if status == 0:
                self.assertIn(b'nothing is wrong', out)
                self.assertEqual(err, b'')
            else:
                *lines, _ = err.decode().splitlines()
                for line in lines:
                    self.assertRegex(line, 'there is no (user|group)|limits.total.bytes|/dev/shm',
                                     name)


if __name__ == '__main__':
    if not SHMBROKERD:
        print('skipped: shmbrokerd was not built')
        sys.exit(SKIP)
    unittest.main(verbosity=2)
