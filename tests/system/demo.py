# SPDX-License-Identifier: Apache-2.0
"""tools/demo on the built programs: its verdict, several at once, another user, and what is left
when it is interrupted. Fewer items than a person would let it move."""

import glob
import os
import random
import re
import select
import signal
import subprocess
import tempfile
import time
import unittest

import ctl_broker

ROOT = os.environ['SHMBROKER_ROOT']
BUILD = os.environ['SHMBROKER_BUILD']
VERDICT = ('== every item accounted for in order, at most one redelivered, nothing left behind\n')
DEADLINE_S = 150
CONFIG = f'''version: 1
regions:
  - name: imu
    kind: ring
    item: {{size: 64, align: 8, type: "imu_sample/3"}}
    capacity: 2048
    access: {{produce: [uid:{os.getuid()}], consume: [uid:{os.getuid()}], observe: [any]}}
  - name: books
    kind: raw
    size: 4K
    access: {{read: [any], write: [uid:{os.getuid()}]}}
'''


def start(items, **more):
    return subprocess.Popen(
        [os.path.join(ROOT, 'tools', 'demo'), '--build-dir', BUILD, str(items)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True, **more)


def members(group):
    """Processes of a group that can still do something."""
    found = []
    for path in glob.glob('/proc/[0-9]*/stat'):
        try:
            with open(path) as stat:
                # Behind the name, which may hold anything: state, parent, group.
                state, _, its_group = stat.read().rpartition(')')[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != 'Z':
            found.append(path)
    return found


def names_in(text):
    return [name for name in re.findall(r'shmb\.\S+@[0-9a-f]{16}\.\S+', text)]


class Demo(unittest.TestCase):
    def assert_proves(self, process, items):
        text = process.communicate(timeout=DEADLINE_S)[0].decode()
        self.assertEqual(process.returncode, 0, text)
        self.assertTrue(text.endswith(VERDICT), text)
        self.assertIn(f'{items} of {items} items accounted for in order', text)
        self.assertRegex(text, r'(?m)^telemetry/imu +ring +posix ')
        # No terminal, no bar.
        self.assertNotIn('\r', text)
        self.assertTrue(names_in(text))
        for name in names_in(text):
            self.assertFalse(os.path.exists('/dev/shm/' + name), name)

    def test_two_at_once(self):
        processes = [start(3000000), start(3000000)]
        for process in processes:
            self.assert_proves(process, 3000000)

    def test_books_are_right_whenever_the_accountant_is_killed(self):
        n, n_kills, demo = 10000000, 40, os.path.join(BUILD, 'client', 'examples', 'example-demo')
        with ctl_broker.Broker(CONFIG) as broker:
            env = {**ctl_broker.environment(), 'SHMBROKER_SOCKET': broker.socket}

            def run(*arguments, **more):
                return subprocess.Popen([demo, *arguments, str(n)], env=env, **more)

            producer = run('produce', 'imu')
            for kill in range(n_kills):
                with run('consume', 'imu', 'books') as consumer:
                    subprocess.run([demo, 'watch', 'books', str(n // 100 * kill), str(n)], env=env,
                                   check=True, timeout=DEADLINE_S)
                    time.sleep(random.uniform(0, 0.002))
                    consumer.kill()
            with run('consume', 'imu', 'books', stderr=subprocess.DEVNULL) as consumer:
                self.assertEqual(consumer.wait(DEADLINE_S), 0)
            self.assertEqual(producer.wait(DEADLINE_S), 0)

            with run('audit', 'imu', 'books', stdout=subprocess.PIPE) as audit:
                text = audit.communicate(timeout=DEADLINE_S)[0].decode()
        self.assertIn(f'{n} of {n} items accounted for in order, checksums right\n', text)
        again, before = re.search(r'(\d+) redelivered after a kill, of which (\d+)', text).groups()
        self.assertLessEqual(int(again), n_kills)
        self.assertLessEqual(int(before), int(again))

    @unittest.skipUnless(os.getuid() == 0, 'needs root to be somebody else')
    def test_ordinary_user(self):
        for path in ROOT, BUILD:
            if subprocess.run(['test', '-x', path], user=64007, group=64007).returncode != 0:
                self.skipTest(f'{path} is not open to other users')
        self.assert_proves(start(3000000, user=64007, group=64007, extra_groups=[]), 3000000)

    def read_until(self, process, pattern):
        text, end = '', time.monotonic() + DEADLINE_S
        while not re.search(pattern, text):
            self.assertLess(time.monotonic(), end, text)
            if select.select([process.stdout], [], [], 1)[0]:
                chunk = os.read(process.stdout.fileno(), 4096).decode()
                self.assertNotEqual(chunk, '', text)
                text += chunk
        return text

    def test_interrupted_it_leaves_nothing(self):
        # More than it could move: it is surely still at it.
        process = start(999999999999)
        text = self.read_until(process, r'== \d+ samples through')
        names = names_in(text)
        self.assertTrue(names)
        self.assertTrue(all(os.path.exists('/dev/shm/' + name) for name in names))

        # As a terminal does it: to all of the group.
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, 130)
        for name in names:
            self.assertFalse(os.path.exists('/dev/shm/' + name), name)
        # Who has ended may still be waiting for its parent, or for init.
        ctl_broker.until(lambda: not members(process.pid), 'the processes of the demo to end')

    def test_without_programs_it_fails(self):
        with tempfile.TemporaryDirectory() as empty:
            result = subprocess.run([os.path.join(ROOT, 'tools', 'demo'), '--build-dir', empty],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b'demo: the broker did not start', result.stderr)


if __name__ == '__main__':
    ctl_broker.main()
