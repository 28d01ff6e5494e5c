# SPDX-License-Identifier: Apache-2.0
"""words.py SOURCE...: the library built for 32 bits, and its processes beside those of 64 bits on
the regions of one real broker. SOURCEs are those of libshmbroker; $PEER is the program of 64 bits."""

import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.environ['SHMBROKER_ROOT']
sys.path.append(os.path.join(ROOT, 'tests', 'system'))

import ctl_broker  # noqa: E402
import machine  # noqa: E402

PEER = os.environ['PEER']
N_ITEMS = int(os.environ.get('N_ITEMS', 10 ** 7))
DEADLINE_S = 100
CONFIG = f'''version: 1
defaults:
  item: {{size: 64, align: 8}}
  access: {{produce: [uid:{os.getuid()}], consume: [uid:{os.getuid()}], observe: [any]}}
regions:
  - {{name: posix, kind: ring, capacity: 4096}}
  - {{name: memfd, kind: ring, capacity: 4096, backing: memfd}}
  - {{name: queue, kind: queue, max_bytes: 4M, segment: 64K}}
'''

# Copies of the programs in a folder that goes with them.
programs = {}


def start(broker, bits, *arguments):
    environment = {**ctl_broker.environment(), 'SHMBROKER_SOCKET': broker.socket}
    return subprocess.Popen([programs[bits], *arguments], stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)


class Words(unittest.TestCase):
    def setUp(self):
        self.broker = ctl_broker.Broker(CONFIG)
        self.enterContext(self.broker)

    def enterContext(self, context):
        context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)

    def hear(self, process):
        try:
            said = process.communicate(timeout=DEADLINE_S)[0]
        finally:
            process.kill()
        return process.returncode, said

    def check_flow(self, producer, consumer, region, n_items=N_ITEMS):
        ends = [start(self.broker, consumer, 'consume', region, str(n_items)),
                start(self.broker, producer, 'produce', region, str(n_items))]
        popped, pushed = [self.hear(end) for end in ends]
        self.assertEqual(pushed, (0, f'{producer} bits: pushed {n_items}\n'))
        self.assertEqual(popped, (0, f'{consumer} bits: popped {n_items}\n'))

    def test_a_producer_of_64_bits_and_a_consumer_of_32(self):
        self.check_flow(64, 32, 'posix')

    def test_a_producer_of_32_bits_and_a_consumer_of_64(self):
        self.check_flow(32, 64, 'memfd')

    def test_both_ways_through_a_queue(self):
        # Memory comes and goes by messages: fewer items.
        self.check_flow(64, 32, 'queue', N_ITEMS // 10)
        self.check_flow(32, 64, 'queue', N_ITEMS // 10)

    def test_a_type_that_depends_on_the_word_size_is_refused_with_both_sizes(self):
        self.assertEqual(self.hear(start(self.broker, 64, 'careless', 'posix')),
                         (0, '64 bits: attached\n'))
        status, said = self.hear(start(self.broker, 32, 'careless', 'posix'))
        self.assertEqual(status, 1)
        self.assertTrue(said.startswith('32 bits: EPROTOTYPE: '), said)
        self.assertRegex(said, r'posix\b.*\b(64\b.*\b32|32\b.*\b64)\b')


def main():
    sources = sys.argv[1:]
    del sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix='shmb-words-') as scratch:
        os.chmod(scratch, 0o755)
        target = machine.Machine('i386', scratch)
        includes = [ROOT, os.path.join(ROOT, 'client', 'include')]
        programs[64], programs[32] = PEER, os.path.join(scratch, 'peer')
        target.compile(includes, [os.path.join(ROOT, 'tests', 'cross', 'peer.c')] + sources,
                       programs[32])
        ctl_broker.main()


if __name__ == '__main__':
    main()
