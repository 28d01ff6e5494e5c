# SPDX-License-Identifier: Apache-2.0
"""shmbrokerctl without a broker: usage, exit statuses, where output may go wrong, and that manual
page and completion know every command, option and column that --help knows."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

from ctl_broker import SHMBROKERCTL, command, ctl, environment

ROOT = os.environ['SHMBROKER_ROOT']


def read(*path):
    with open(os.path.join(ROOT, *path)) as file:
        return file.read()


class Usage(unittest.TestCase):
    def assert_says(self, result, status, line):
        self.assertEqual(result.stdout, b'')
        self.assertEqual(result.stderr.decode(), line + '\n')
        self.assertEqual(result.returncode, status)

    def test_wrong_usage_is_one_line_and_status_2(self):
        for arguments, line in (
                ([], 'a command is missing'),
                (['lst'], "there is no command 'lst'"),
                (['list', 'x'], "list: 'x' is too much"),
                (['show'], 'show: NAME is missing'),
                (['check'], 'check: FILE... is missing'),
                (['list', '--plan'], '--plan is no option of list'),
                (['--count', '1', 'push', 'x'], '--count is no option of push'),
                (['pop', 'x', '--count', '-1'], '--count -1: not a number that it understands'),
                (['pop', 'x', '--timeout', '1y'], '--timeout 1y: not a number that it understands'),
                (['pop', 'x', '--offset', '16E'], '--offset 16E: not a number that it understands'),
                (['pop', 'x', '--timeout', '99999999999'], '--timeout 99999999999: too great'),
                (['list', '--output', 'NAME,COLOUR'],
                 "--output: there is no column 'COLOUR' among the regions")):
            with self.subTest(arguments):
                self.assert_says(ctl('/nowhere', *arguments), 2,
                                 f'shmbrokerctl: {line} (see shmbrokerctl --help)')

    def test_unknown_option_is_status_2(self):
        result = ctl(None, '--bogus')
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"unrecognized option '--bogus'", result.stderr)

    def test_hostile_arguments_are_escaped(self):
        self.assert_says(ctl(None, 'li\x1b[31mst'), 2,
                         "shmbrokerctl: there is no command 'li\\x1b[31mst' "
                         "(see shmbrokerctl --help)")

    def test_version(self):
        result = ctl(None, '--version')
        self.assertRegex(result.stdout.decode(), r'^shmbrokerctl [0-9]+\.[0-9]+\.[0-9]+\n$')
        self.assertEqual(result.returncode, 0)


class NoBroker(unittest.TestCase):
    nobody = ('no broker listens there: start it (systemctl start shmbrokerd), or name another '
              'socket by SHMBROKER_SOCKET\n')

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix='shmb-ctl-', dir='/tmp')
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, 'broker.sock')

    def assert_fails(self, line):
        for arguments in (['list'], ['show', 'x'], ['who'], ['status'], ['reload'], ['gc'],
                          ['kick', '1'], ['create', 'x/y'], ['remove', 'x/y'], ['push', 'x'], ['pop', 'x']):
            with self.subTest(arguments):
                result = ctl(self.path, *arguments)
                self.assertEqual(result.stdout, b'')
                self.assertEqual(result.stderr.decode(), f'shmbrokerctl: {self.path}: {line}')
                self.assertEqual(result.returncode, 1)

    def test_no_socket(self):
        self.assert_fails(self.nobody)

    def test_socket_that_nobody_listens_on(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(self.path)
        self.assert_fails(self.nobody)

    def test_socket_of_another_type(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(self.path)
            listener.listen()
            self.assert_fails('not the socket of a broker\n')

    def test_environment_names_the_socket(self):
        result = subprocess.run([SHMBROKERCTL, 'list'], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE,
                                env={**environment(), 'SHMBROKER_SOCKET': self.path})
        self.assertIn(f'{self.path}: no broker listens there', result.stderr.decode())
        self.assertEqual(result.returncode, 1)


class Output(unittest.TestCase):
    def test_full_disk_is_a_failure(self):
        with open('/dev/full', 'wb') as full:
            result = ctl(None, '--help', stdout=full)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr,
                         b'shmbrokerctl: standard output: No space left on device\n')

    def run_into_closed_pipe(self, **more):
        reader, writer = os.pipe()
        os.close(reader)
        result = subprocess.run(command(None, '--help'), stdout=writer, stderr=subprocess.PIPE,
                                env=environment(), **more)
        os.close(writer)
        return result

    def test_closed_pipe_ends_it_quietly(self):
        result = self.run_into_closed_pipe(restore_signals=True)
        self.assertEqual(result.returncode, -signal.SIGPIPE)
        self.assertEqual(result.stderr, b'')

    def test_closed_pipe_with_sigpipe_ignored_is_a_failure(self):
        result = self.run_into_closed_pipe(restore_signals=False)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr, b'shmbrokerctl: standard output: Broken pipe\n')


class Documents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        text = ctl(None, '--help').stdout.decode()
        cls.commands = re.findall(r'^  ([a-z]+) .*', text.split('Options:')[0], re.M)
        cls.options = re.findall(r'--([a-z-]+)', text.split('Options:')[1].split('Columns')[0])
        cls.columns = re.findall(r'^ [ *]([A-Z_]+) ', text, re.M)

    def test_help_lists_what_there_is(self):
        self.assertEqual(len(self.commands), 13)
        self.assertIn('json', self.options)
        self.assertIn('REDELIVERED', self.columns)

    def test_manual_page_knows_them_all(self):
        page = read('man', 'shmbrokerctl.1.scd')
        for name in self.commands:
            self.assertRegex(page, rf'(?m)^\*{name}\*')
        for name in self.options:
            self.assertIn(f'*--{name}*', page)
        for name in self.columns:
            self.assertIn(f'*{name}*', page)

    def test_completion_knows_them_all(self):
        script = read('client', 'ctl', 'shmbrokerctl.bash')
        self.assertEqual(self.complete(''), self.commands)
        for name in self.options:
            self.assertIn(f'--{name}', script)

    def complete(self, *words):
        """What bash would offer for the last of these words."""
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
                  '_shmbrokerctl; printf "%s\\n" "${COMPREPLY[@]}"')
        path = os.path.dirname(SHMBROKERCTL) + ':' + os.environ['PATH']
        result = subprocess.run(
            ['bash', '--norc', '-c', script, 'bash',
             os.path.join(ROOT, 'client', 'ctl', 'shmbrokerctl.bash'), 'shmbrokerctl', *words],
            stdout=subprocess.PIPE, env={**environment(), 'PATH': path}, check=True)
        return result.stdout.decode().split()

    def test_completion_offers_what_fits(self):
        self.assertEqual(self.complete('s'), ['show', 'status'])
        self.assertEqual(self.complete('reload', '--p'), ['--plan'])
        self.assertEqual(self.complete('list', '--p'), [])
        self.assertEqual(self.complete('list', '--output', 'NAME,cons'), ['NAME,CONSUMERS'])
        self.assertEqual(self.complete('who', '--output', '+conn'), ['+CONNECTED'])
        self.assertEqual(self.complete('--socket', '/x', 'st'), ['status'])

    def test_manual_page_of_the_daemon_knows_every_message(self):
        page = read('man', 'shmbrokerd.8.scd')
        entries = re.findall(r'/\* [^\n]*\n \* ([^*]*)\*/\n#define \w+_STR "([0-9a-f]{32})"',
                             read('daemon', 'message-ids.h'))
        self.assertGreater(len(entries), 10)
        for fields, name in entries:
            match = re.search(rf'\*{name}\*\n\t(.*)', page)
            self.assertIsNotNone(match, name)
            self.assertEqual(sorted(re.findall(r'_([A-Z_]+?)_(?=[,.])', match.group(1))),
                             sorted(re.findall(r'([A-Z_]+)=', fields)))


if __name__ == '__main__':
    sys.path.insert(0, os.path.dirname(__file__))
    unittest.main()
