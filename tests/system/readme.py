# SPDX-License-Identifier: Apache-2.0
"""What README.md shows is true: its YAML is a configuration, its C compiles and does what is said,
and its files exist."""

import json
import os
import re
import subprocess
import tempfile
import unittest

import ctl_broker
from ctl_broker import Broker, ctl, environment

ROOT = os.environ['SHMBROKER_ROOT']
LIBRARY = os.environ['SHMBROKER_LIBRARY']

with open(os.path.join(ROOT, 'README.md')) as file:
    README = file.read()


def blocks(language):
    return re.findall(rf'(?ms)^```{language}\n(.*?)^```$', README)


class Readme(unittest.TestCase):
    def test_every_yaml_is_a_configuration(self):
        self.assertTrue(blocks('yaml'))
        for text in blocks('yaml'):
            with tempfile.NamedTemporaryFile('w', suffix='.yaml') as config:
                config.write(text)
                config.flush()
                result = ctl(None, 'check', config.name)
                self.assertEqual(result.returncode, 0, result.stderr)

    def compile(self, text, directory):
        source = os.path.join(directory, 'example.c')
        program = os.path.join(directory, 'example')
        with open(source, 'w') as out:
            out.write(text)
        subprocess.run(
            os.environ['CC'].split() + ['-std=c11', '-Wall', '-Wextra', '-Wpedantic', '-Werror',
                                        '-I', os.path.join(ROOT, 'client', 'include'), source,
                                        LIBRARY, '-Wl,-rpath,' + os.path.dirname(LIBRARY),
                                        '-o', program], check=True)
        return program

    def test_every_c_program_runs(self):
        self.assertTrue(blocks('c'))
        with tempfile.TemporaryDirectory(prefix='shmb-ctl-', dir='/tmp') as directory:
            for text in blocks('c'):
                self.run_with_broker(self.compile(text, directory))

    def run_with_broker(self, program):
        # Whoever runs this test may do what the example lets root do.
        yaml = blocks('yaml')[0].replace('user:root', f'uid:{os.getuid()}')
        items = os.urandom(64 * 3)
        with Broker(yaml) as broker:
            process = subprocess.Popen([program], stdout=subprocess.PIPE, env={
                **environment(), 'SHMBROKER_SOCKET': broker.socket})
            try:
                result = ctl(broker, 'push', 'telemetry/imu', data=items)
                self.assertEqual(result.returncode, 0, result.stderr)
                ctl_broker.until(lambda: self.drained(broker), 'the items to be consumed')
            finally:
                process.kill()
                process.communicate()

    def drained(self, broker):
        rows = json.loads(ctl(broker, 'list', '--json').stdout)['regions']
        row = {row['name']: row for row in rows}['telemetry/imu']
        return (row['items'], row['used']) == (3, 0)

    def test_every_file_of_the_table_exists(self):
        paths = re.findall(r'`([a-z/-]+(?:/|\.c|\.h|\.scd|\.[0-9]\.scd|\.yaml\.5\.scd))`', README)
        self.assertGreater(len(paths), 10)
        for path in paths:
            self.assertTrue(os.path.exists(os.path.join(ROOT, path)), path)


if __name__ == '__main__':
    ctl_broker.main()
