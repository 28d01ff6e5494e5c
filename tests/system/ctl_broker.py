# SPDX-License-Identifier: Apache-2.0
"""What the tests of shmbrokerctl share: a broker of one's own, and the program itself.

$SHMBROKERD and $SHMBROKERCTL are the built programs. Everything is below a private directory;
names of regions may be fixed, because names in /dev/shm carry a random tag.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SKIP = 77
DEADLINE_S = 20

SHMBROKERD = os.environ.get('SHMBROKERD')
SHMBROKERCTL = os.environ['SHMBROKERCTL']
PROGRAM = os.open(SHMBROKERCTL, os.O_PATH)


def until(holds, what):
    """Ask until it holds; the test fails if it does not in time."""
    end = time.monotonic() + DEADLINE_S
    while not holds():
        if time.monotonic() > end:
            raise AssertionError('waited in vain: ' + what)
        time.sleep(0.005)


class Broker:
    """A running shmbrokerd; a context, at whose end nothing is left."""

    def __init__(self, yaml, drop_ins=None):
        # Short: a socket's path has 107 bytes.
        self.directory = tempfile.mkdtemp(prefix='shmb-ctl-', dir='/tmp')
        os.chmod(self.directory, 0o755)
        self.config = os.path.join(self.directory, 'shmbrokerd.yaml')
        self.runtime = os.path.join(self.directory, 'run')
        self.socket = os.path.join(self.runtime, 'broker.sock')
        self.log = os.path.join(self.directory, 'log')
        self.configure(yaml)
        for name, text in (drop_ins or {}).items():
            os.makedirs(os.path.join(self.directory, 'regions.d'), exist_ok=True)
            with open(os.path.join(self.directory, 'regions.d', name), 'w') as file:
                file.write(text)
        self.process = None

    def configure(self, yaml):
        # Renamed into place: a broker never reads half of it.
        with open(self.config + '.new', 'w') as file:
            file.write(yaml)
        os.rename(self.config + '.new', self.config)

    def __enter__(self):
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(
                [SHMBROKERD, '--config', self.config, '--runtime-dir', self.runtime],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            until(self.is_ready, 'the broker to be ready')
        except BaseException:
            self.__exit__()
            raise
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            with open(self.log) as log:
                raise AssertionError('the broker ended:\n' + log.read())
        return ctl(self, 'status').returncode == 0

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory)


def command(broker, *arguments):
    socket = ['--socket', broker.socket if isinstance(broker, Broker) else broker] if broker else []
    return [SHMBROKERCTL] + socket + list(arguments)


def environment():
    # Output must not depend on who runs the test.
    return {'PATH': os.environ['PATH'], 'LC_ALL': 'C', 'TZ': 'UTC',
            **{key: os.environ[key] for key in ('ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS')
               if key in os.environ}}


def ctl(broker, *arguments, data=b'', **more):
    """Run shmbrokerctl against `broker` (a Broker, a path, or None); bytes in, bytes out."""
    if 'user' in more:
        # Opened as who we are: the other user may not get through to the build.
        more.update(executable=f'/proc/self/fd/{PROGRAM}', pass_fds=[PROGRAM])
    return subprocess.run(command(broker, *arguments), input=data, timeout=DEADLINE_S * 3,
                          stdout=more.pop('stdout', subprocess.PIPE), stderr=subprocess.PIPE,
                          env=environment(), **more)


def main():
    if not SHMBROKERD:
        print('skipped: there is no shmbrokerd')
        sys.exit(SKIP)
    unittest.main(verbosity=1)
