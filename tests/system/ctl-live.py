# SPDX-License-Identifier: Apache-2.0
"""shmbrokerctl against the real broker: what it prints, byte for byte, and what it moves."""

import json
import os
import re
import signal
import subprocess
import tempfile
import unittest

import ctl_broker
from ctl_broker import Broker, command, ctl, environment, until

ME = f'uid:{os.getuid()}'
YAML = f'''version: 1
regions:
  - name: telemetry/imu
    description: six-axis samples at 8 kHz
    kind: ring
    item: {{size: 64, align: 8, type: "imu_sample/3"}}
    capacity: 1024
    access: {{produce: [{ME}], consume: [{ME}], observe: [any]}}
  - name: telemetry/books
    kind: raw
    size: 4K
    access: {{read: [{ME}], write: [{ME}]}}
  - name: control/commands
    description: "a \\"quoted\\" \\\\ one"
    kind: ring
    backing: memfd
    item: {{size: 8}}
    capacity: 4
    overflow: fail
    access: {{produce: [{ME}], consume: [{ME}]}}
    lifetime: {{policy: on_demand, linger: 90s}}
'''

LIST = '''\
NAME             KIND BACKING SIZE USED CAPACITY PRODUCERS CONSUMERS ITEMS LIFETIME  STATE
control/commands ring memfd    24K    0        4         0         0     0 on_demand declared
telemetry/books  raw  posix     8K    -        -         0         0     - static    live
telemetry/imu    ring posix    84K    0     1024         0         0     0 static    live
'''

SHOW = '''\
region
  name           telemetry/imu
  producers      0
  consumers      0
  state          live
  description    six-axis samples at 8 kHz
  observers      0

declaration
  kind           ring
  backing        posix
  lifetime       static
  type           imu_sample/3
  overflow       block
  access         produce: @ME; consume: @ME; observe: any
  origin         CONFIG:3

geometry
  size           84K
  capacity       1024
  item_size      64B
  item_align     8B
  stride         64B
  lanes          1
  seats          1
  generation     GENERATION
  tag            TAG

counters
  used           0
  items          0
  dropped        0
  redelivered    0
  missed         0
  waits          0
  wakes          0

objects
OBJECT  INDEX SIZE NAME
control     -   8K /shmb.telemetry.imu@TAG.ctl
lane        0  68K /shmb.telemetry.imu@TAG.lane0
seat        0   8K /shmb.telemetry.imu@TAG.seat0
'''


class Live(unittest.TestCase):
    maxDiff = None
    yaml = YAML

    @classmethod
    def setUpClass(cls):
        cls.broker = Broker(cls.yaml)
        cls.enterClassContext(cls.broker)

    def ctl(self, *arguments, **more):
        """A command that has to succeed without a word on stderr; its output."""
        result = ctl(self.broker, *arguments, **more)
        self.assertEqual(result.stderr.decode(), '')
        self.assertEqual(result.returncode, 0)
        return result.stdout

    def refused(self, *arguments, status=1, **more):
        """A command that has to fail in one line on stderr; that line."""
        result = ctl(self.broker, *arguments, **more)
        self.assertEqual(result.returncode, status, result.stderr)
        line = result.stderr.decode()
        self.assertRegex(line, r'\Ashmbrokerctl: [^\n]+\n\Z')
        return line

    def row(self, name):
        rows = json.loads(self.ctl('list', '--json', '--output-all'))['regions']
        return {row['name']: row for row in rows}[name]


class Looking(Live):
    def test_list(self):
        self.assertEqual(self.ctl('list').decode(), LIST)

    def test_list_without_headings_in_bytes(self):
        self.assertEqual(
            self.ctl('list', '-n', '-b', '-o', 'size,name').decode(),
            '24576 control/commands\n 8192 telemetry/books\n86016 telemetry/imu\n')

    def test_list_in_json_is_the_declared_set(self):
        rows = json.loads(self.ctl('list', '--json'))['regions']
        self.assertEqual(rows, [
            {'name': 'control/commands', 'kind': 'ring', 'backing': 'memfd', 'size': 24576, 'used': 0,
             'capacity': 4, 'producers': 0, 'consumers': 0, 'items': 0, 'lifetime': 'on_demand',
             'state': 'declared'},
            {'name': 'telemetry/books', 'kind': 'raw', 'backing': 'posix', 'size': 8192,
             'used': None, 'capacity': None, 'producers': 0, 'consumers': 0, 'items': None,
             'lifetime': 'static', 'state': 'live'},
            {'name': 'telemetry/imu', 'kind': 'ring', 'backing': 'posix', 'size': 86016, 'used': 0,
             'capacity': 1024, 'producers': 0, 'consumers': 0, 'items': 0, 'lifetime': 'static',
             'state': 'live'}])

    def test_json_has_text_as_declared(self):
        self.assertEqual(self.row('control/commands')['description'], 'a "quoted" \\ one')
        self.assertEqual(self.row('control/commands')['linger'], 90 * 10**9)

    def test_admin_socket_may_be_named_too(self):
        admin = os.path.join(self.broker.runtime, 'admin.sock')
        self.assertEqual(ctl(admin, 'list').stdout.decode(), LIST)

    def test_show(self):
        text = self.ctl('show', 'telemetry/imu').decode()
        tag = self.row('telemetry/imu')['tag']
        self.assertRegex(tag, r'^[0-9a-f]{16}$')
        expected = SHOW.replace('TAG', tag).replace('CONFIG', self.broker.config)
        expected = expected.replace('GENERATION', str(self.row('telemetry/imu')['generation']))
        self.assertEqual(text, expected.replace('@ME', ME))
        for name in re.findall(r' /(shmb\.\S+)', text):
            self.assertTrue(os.path.exists('/dev/shm/' + name), name)

    def test_show_in_json_is_one_document(self):
        document = json.loads(self.ctl('show', 'telemetry/imu', '--json'))
        self.assertEqual(sorted(document), ['holders', 'objects', 'regions'])
        self.assertEqual([row['object'] for row in document['objects']],
                         ['control', 'lane', 'seat'])
        self.assertEqual(sum(row['size'] for row in document['objects']),
                         document['regions'][0]['size'])
        self.assertEqual(document['holders'], [])

    def test_show_of_an_unknown_region(self):
        self.assertIn('telemetry/imo', self.refused('show', 'telemetry/imo'))

    def test_show_of_no_name_at_all(self):
        for name in ('', '/', 'UPPER', '../etc/passwd', 'a' * 201, 'a\nb', '%n%n'):
            with self.subTest(name):
                for word in 'show', 'who', 'push', 'pop':
                    self.assertIn('no name of a region', self.refused(word, name, status=2))

    def test_who_names_the_holder(self):
        process = subprocess.Popen(command(self.broker, 'pop', 'telemetry/imu'),
                                   stdout=subprocess.PIPE, env=environment())
        try:
            until(lambda: self.row('telemetry/imu')['consumers'] == 1, 'the consumer')
            holders = json.loads(self.ctl('who', 'telemetry/imu', '--json', '-O'))['holders']
            self.assertEqual(len(holders), 1)
            self.assertEqual(holders[0]['region'], 'telemetry/imu')
            self.assertEqual(holders[0]['role'], 'consume')
            self.assertEqual(holders[0]['index'], 0)
            self.assertEqual(holders[0]['pid'], process.pid)
            self.assertEqual(holders[0]['uid'], os.getuid())
            self.assertEqual(holders[0]['command'], 'shmbrokerctl')
            self.assertEqual(holders[0]['state'], 'held')
            self.assertIs(holders[0]['connected'], True)
            self.assertLess(holders[0]['age'], 60 * 10**9)
            self.assertRegex(holders[0]['since'], r'^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$')
            self.assertEqual(self.ctl('who', 'telemetry/books'), b'')
            self.assertIn(b'shmbrokerctl', self.ctl('show', 'telemetry/imu'))
        finally:
            process.kill()
            process.communicate()
        until(lambda: self.row('telemetry/imu')['consumers'] == 0, 'the lease to end')

    def test_events_follow_a_region_until_they_are_as_many_as_asked(self):
        for options in [], ['--json']:
            process = subprocess.Popen(command(self.broker, 'events', 'telemetry/books', '--count',
                                               '3', *options), stdout=subprocess.PIPE,
                                       env=environment())
            first = process.stdout.readline()
            self.ctl('pop', 'telemetry/books', '--count', '1')
            text = (first + process.communicate()[0]).decode()
            self.assertEqual(process.returncode, 0)
            if not options:
                lines = [line.split(' ', 1) for line in text.splitlines()]
                self.assertRegex(lines[0][0], r'^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$')
                self.assertEqual(lines[0][1], 'present telemetry/books')
                self.assertRegex(lines[1][1], r'^attached telemetry/books: lease \d+ \(read\), '
                                 rf'process \d+ \(shmbrokerctl\) of uid {os.getuid()}$')
                self.assertIn('detached telemetry/books', lines[2][1])
                continue
            events, decoder = [], json.JSONDecoder()
            while text := text.lstrip():
                document, end = decoder.raw_decode(text)
                events += document['events']
                text = text[end:]
            self.assertEqual([event['event'] for event in events],
                             ['present', 'attached', 'detached'])
            self.assertEqual(events[1]['lease'], events[2]['lease'])
            self.assertIs(events[2]['ready'], True)

    def test_events_end_when_nothing_happens(self):
        self.assertIn(b'present telemetry/books',
                      self.ctl('events', 'telemetry/books', '--timeout', '0'))
        self.assertIn('nothing more happened',
                      self.refused('events', 'telemetry/books', '--count', '2', '--timeout', '0'))

    def test_status(self):
        text = self.ctl('status').decode()
        self.assertIn(f'  pid            {self.broker.process.pid}\n', text)
        status = json.loads(self.ctl('status', '--json'))['status'][0]
        self.assertEqual(status['pid'], self.broker.process.pid)
        self.assertEqual(status['regions'], 3)
        self.assertEqual(status['config'], self.broker.config)
        self.assertEqual(status['runtime'], self.broker.runtime)
        self.assertGreater(status['uptime'], 0)
        self.assertIn('pidfd', status['features'])


class Moving(Live):
    def test_items_come_out_as_they_went_in(self):
        items = os.urandom(64 * 100)
        before = self.row('telemetry/imu')['items']
        self.ctl('push', 'telemetry/imu', data=items)
        self.assertEqual(self.row('telemetry/imu')['used'], 100)
        self.assertEqual(self.ctl('pop', 'telemetry/imu'), items[:64])
        self.assertEqual(self.ctl('pop', 'telemetry/imu', '--count', '49'), items[64:64 * 50])
        self.assertEqual(self.ctl('pop', 'telemetry/imu', '--count', '0', '--timeout', '0'),
                         items[64 * 50:])
        row = self.row('telemetry/imu')
        self.assertEqual((row['used'], row['items'] - before), (0, 100))

    def test_pipe_through_a_ring_that_is_smaller_than_it(self):
        items = os.urandom(64 * 10000)
        with tempfile.TemporaryFile() as out, subprocess.Popen(
                command(self.broker, 'pop', 'telemetry/imu', '--count', '10000'),
                stdout=out, env=environment()) as reader:
            self.ctl('push', 'telemetry/imu', data=items)
            self.assertEqual(reader.wait(ctl_broker.DEADLINE_S), 0)
            out.seek(0)
            self.assertEqual(out.read(), items)

    def test_overflow_that_fails_is_said(self):
        line = self.refused('push', 'control/commands', data=bytes(8 * 6))
        self.assertIn('it is full', line)
        self.assertIn('4 items were pushed', line)
        self.assertEqual(len(self.ctl('pop', 'control/commands', '--count', '4')), 32)

    def test_last_item_cut_short_is_named(self):
        line = self.refused('push', 'telemetry/imu', data=bytes(64 * 2 + 12))
        self.assertIn('the last item has 12 bytes instead of 64', line)
        self.assertIn('2 items were pushed', line)
        self.assertEqual(len(self.ctl('pop', 'telemetry/imu', '--count', '2')), 128)

    def test_nothing_to_pop(self):
        self.assertIn('nothing came in time; 0 items were popped',
                      self.refused('pop', 'telemetry/imu', '--timeout', '10ms'))

    def test_no_room(self):
        line = self.refused('push', 'telemetry/imu', '--timeout', '0', data=bytes(64 * 1030))
        self.assertIn('it is full', line)
        self.assertIn('1024 items were pushed', line)
        self.ctl('pop', 'telemetry/imu', '--count', '1024')

    def test_item_that_could_not_be_written_is_kept(self):
        self.ctl('push', 'telemetry/imu', data=b'k' * 64)
        with open('/dev/full', 'wb') as full:
            self.assertIn('No space left', self.refused_to(full, 'pop', 'telemetry/imu'))
        self.assertEqual(self.ctl('pop', 'telemetry/imu', '--timeout', '5s'), b'k' * 64)

    def refused_to(self, stdout, *arguments):
        result = ctl(self.broker, *arguments, stdout=stdout)
        self.assertEqual(result.returncode, 1)
        return result.stderr.decode()

    def test_raw_region_is_written_and_read(self):
        self.ctl('push', 'telemetry/books', data=bytes(4096))
        self.ctl('push', 'telemetry/books', '--offset', '1K', data=b'entry')
        self.assertEqual(self.ctl('pop', 'telemetry/books'),
                         bytes(1024) + b'entry' + bytes(3072 - 5))
        self.assertEqual(self.ctl('pop', 'telemetry/books', '--offset', '1024', '--count', '5'),
                         b'entry')
        self.assertEqual(self.ctl('pop', 'telemetry/books', '--offset', '4K'), b'')

    def test_raw_region_has_an_end(self):
        self.assertIn('has 4096 bytes and is full',
                      self.refused('push', 'telemetry/books', data=bytes(4097)))
        self.assertIn('offset 4097 is beyond its 4096 bytes',
                      self.refused('pop', 'telemetry/books', '--offset', '4097'))
        self.assertIn('there are 96 bytes behind offset 4000',
                      self.refused('pop', 'telemetry/books', '--offset', '4000', '--count', '97'))

    def test_offset_is_for_raw_regions(self):
        self.refused('pop', 'telemetry/imu', '--offset', '8', status=2)

    def test_second_consumer_is_refused(self):
        process = subprocess.Popen(command(self.broker, 'pop', 'telemetry/imu'),
                                   stdout=subprocess.DEVNULL, env=environment())
        try:
            until(lambda: self.row('telemetry/imu')['consumers'] == 1, 'the consumer')
            self.assertIn('telemetry/imu', self.refused('pop', 'telemetry/imu', '--timeout', '0'))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
        until(lambda: self.row('telemetry/imu')['consumers'] == 0, 'the lease to end')


class Administering(Live):
    def tearDown(self):
        self.broker.configure(YAML)
        ctl(self.broker, 'reload')

    def names(self):
        return self.ctl('list', '-n', '-o', 'NAME').decode().split()

    def test_reload_says_first_and_then_does(self):
        self.broker.configure(YAML + '  - {name: a/new, kind: raw, size: 4K}\n')
        before = self.names()
        plan = self.ctl('reload', '--plan').decode()
        self.assertIn('a/new', plan)
        self.assertEqual(self.names(), before)

        self.assertIn('a/new', self.ctl('reload').decode())
        self.assertEqual(self.names(), ['a/new'] + before)

        self.broker.configure(YAML)
        lines = json.loads(self.ctl('reload', '--json'))['lines']
        self.assertIn('a/new', ' '.join(line['line'] for line in lines))
        self.assertEqual(self.names(), before)

    def test_broken_configuration_changes_nothing(self):
        before = self.names()
        self.broker.configure(YAML + '  - {name: a/new, kind: raw, size: 4K, sise: 4K}\n')
        line = self.refused('reload')
        self.assertIn('sise', line)
        self.assertEqual(self.names(), before)

    def test_gc_collects_what_lingers(self):
        self.ctl('push', 'control/commands')
        self.assertEqual(self.row('control/commands')['state'], 'live')
        self.assertIn(b'control/commands', self.ctl('gc', '--dry-run'))
        self.assertEqual(self.row('control/commands')['state'], 'live')
        self.assertIn(b'control/commands', self.ctl('gc'))
        self.assertEqual(self.row('control/commands')['state'], 'declared')
        self.assertEqual(self.ctl('gc', '--dry-run'), b'nothing to collect\n')

    def test_kick_ends_the_lease_of_who_waits(self):
        process = subprocess.Popen(command(self.broker, 'pop', 'telemetry/imu'), env=environment(),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        until(lambda: self.row('telemetry/imu')['consumers'] == 1, 'the consumer')
        lease = self.ctl('who', 'telemetry/imu', '-n', '-o', 'LEASE').decode().strip()
        self.assertEqual(self.ctl('kick', lease).decode(),
                         f'ended lease {lease}: telemetry/imu (consume), process {process.pid} '
                         f'(shmbrokerctl) of uid {os.getuid()}\n')
        out, err = process.communicate(timeout=ctl_broker.DEADLINE_S)
        self.assertEqual((out, process.returncode), (b'', 1))
        self.assertRegex(err.decode(), r'\Ashmbrokerctl: telemetry/imu: [^\n]+\n\Z')
        self.assertEqual(self.row('telemetry/imu')['consumers'], 0)
        self.assertEqual(self.ctl('kick', lease).decode(), f'lease {lease} is over already\n')
        self.assertIn('there is no lease 999999', self.refused('kick', '999999'))

        # The place is free again.
        self.ctl('push', 'telemetry/imu', data=bytes(range(64)))
        self.assertEqual(self.ctl('pop', 'telemetry/imu'), bytes(range(64)))

    def test_kick_of_what_is_no_number_kicks_nobody(self):
        for what in '', '+1', '1\n', '0x1', '1 ', '99999999999999999999':
            with self.subTest(what):
                self.assertIn('not the number of a lease', self.refused('kick', what, status=2))


@unittest.skipUnless(os.getuid() == 0, 'needs root to be somebody else')
class SomebodyElse(Live):
    """uid 64007 is in no group that may use the admin socket, and only `any` admits it."""

    def setUp(self):
        self.other = {'user': 64007, 'group': 64007, 'extra_groups': []}

    def test_sees_what_it_may_attach(self):
        self.assertEqual(self.ctl('list', '-n', '-o', 'NAME', **self.other), b'telemetry/imu\n')

    def test_may_not_administer(self):
        for arguments in ['reload'], ['gc'], ['kick', '1']:
            self.assertIn('admin', self.refused(*arguments, **self.other))

    def test_may_not_consume(self):
        self.assertIn('consume', self.refused('pop', 'telemetry/imu', **self.other))


class Creating(Live):
    yaml = '''version: 1
regions:
  - {name: s/declared, kind: raw, size: 4K}
templates:
  - {name: s/*, kind: raw, size: {min: 4K, max: 1M}, ttl: 1h,
     access: {create: [any], read: [any], write: [any]}}
  - {name: own/*, kind: ring, item: {size: 8}, capacity: {min: 4, max: 64},
     access: {create: [any], remove: [any], consume: [any]}}
'''

    def test_region_is_created_shown_and_removed(self):
        self.assertEqual(self.ctl('create', 's/a', '--size', '64K'), b'created s/a\n')
        self.assertEqual(self.ctl('create', 's/a'), b'there is already s/a\n')
        self.assertIn('there already', self.refused('create', 's/a', '--exclusive'))
        self.assertIn('size is 65536 here', self.refused('create', 's/a', '--size', '4K'))
        row = self.row('s/a')
        self.assertEqual(row['origin'], f'{self.broker.config}:5: TEMPLATE s/* by uid {os.getuid()}')
        self.assertEqual((row['bytes'], row['linger']), (65536, 3600 * 10**9))
        self.ctl('push', 's/a', data=b'hello')
        self.assertEqual(self.ctl('pop', 's/a', '--count', '5'), b'hello')
        self.assertEqual(self.ctl('remove', 's/a'), b'removed s/a\n')
        self.assertIn('no region', self.refused('remove', 's/a'))
        self.assertIn('no region', self.refused('show', 's/a'))

    def test_several_are_removed_as_far_as_they_can_be(self):
        self.ctl('create', 's/b', '--size', '4K')
        self.ctl('create', 's/c', '--size', '4K')
        result = ctl(self.broker, 'remove', 's/b', 's/none', 's/declared', 's/c')
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout, b'removed s/b\nremoved s/c\n')
        self.assertEqual(len(result.stderr.splitlines()), 2)
        self.assertIn(b'shmbrokerd.yaml:3', result.stderr)

    def test_size_must_be_one_that_is_permitted(self):
        self.assertIn('4096 to 1048576', self.refused('create', 's/d', '--size', '2M'))
        self.assertIn('say its size', self.refused('create', 's/d'))
        self.assertIn('power of two', self.refused('create', 'own/d', '--capacity', '24'))
        self.assertIn('no template', self.refused('create', 'x/d'))
        self.assertIn('region', self.refused('create', 'X', status=2))

    def test_what_an_administrator_creates_stays(self):
        self.assertEqual(self.ctl('create', 'own/e', '--capacity', '16'), b'created own/e\n')
        self.assertEqual(self.row('own/e')['capacity'], 16)
        self.assertEqual(self.ctl('gc'), b'nothing to collect\n')
        self.ctl('remove', 'own/e')

    @unittest.skipUnless(os.getuid() == 0, 'needs root to be somebody else')
    def test_what_goes_with_its_creator_is_said_to_go(self):
        other = {'user': 64007, 'group': 64007, 'extra_groups': []}
        self.assertIn('has no ttl', self.refused('create', 'own/f', '--capacity', '16', **other))
        until(lambda: ctl(self.broker, 'show', 'own/f').returncode == 1, 'own/f to go')
        self.assertEqual(self.ctl('create', 's/f', '--size', '4K', **other), b'created s/f\n')
        self.assertIn('uid 64007 may not remove s/f', self.refused('remove', 's/f', **other))
        self.ctl('remove', 's/f')


class Checking(unittest.TestCase):
    def verdicts(self, yaml):
        broker = Broker(yaml)
        try:
            mine = ctl(None, 'check', broker.config)
            its = subprocess.run([ctl_broker.SHMBROKERD, '--config', broker.config, '--check'],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        finally:
            os.unlink(broker.config)
            os.rmdir(broker.directory)
        return mine, its

    def test_good_file(self):
        mine, its = self.verdicts(YAML)
        self.assertEqual((mine.returncode, its.returncode), (0, 0))

    def test_every_error_is_said_with_its_place_and_both_agree(self):
        mine, its = self.verdicts(YAML.replace('capacity: 1024', 'capacity: 1000')
                                  .replace('kind: raw', 'kind: row'))
        self.assertEqual((mine.returncode, its.returncode), (1, 78))
        text = mine.stderr.decode()
        self.assertRegex(text, r'shmbrokerd\.yaml:7:\d+: .*capacity')
        self.assertRegex(text, r'shmbrokerd\.yaml:10:\d+: .*kind')
        for line in re.findall(r'(?m)^.*\.yaml:\d+:\d+: .*$', text):
            self.assertIn(line, its.stderr.decode() + its.stdout.decode())

    def test_file_that_is_not_there(self):
        result = ctl(None, 'check', '/nonexistent.yaml')
        self.assertEqual(result.returncode, 1)
        self.assertIn(b'/nonexistent.yaml', result.stderr)


if __name__ == '__main__':
    ctl_broker.main()
