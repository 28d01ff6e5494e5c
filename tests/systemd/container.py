# SPDX-License-Identifier: Apache-2.0
"""A container with a real systemd as its PID 1, on any machine where root may make one.

Its root is an overlay over the root of the machine, so that the packages of the machine and what a
test installs into the overlay are inside, and nothing that happens inside is left outside. Several
may run at once: everything has a name of its own, and is cleaned up by process id only.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BOOT_SECONDS_MAX = 90
STOP_SECONDS_MAX = 20

NEEDS = ('systemd-nspawn', 'unshare', 'nsenter', 'mount', 'systemctl')

# Of what the machine starts at boot only this may start inside: no database, no timer of packages.
KEEP = ('systemd-', 'dbus', 'remote-fs', 'shmbroker')


class Unavailable(Exception):
    """This machine cannot run a container; the text says why."""


def check_machine():
    if os.geteuid() != 0:
        raise Unavailable('needs root')
    for program in NEEDS:
        if not shutil.which(program):
            raise Unavailable(f'needs the program {program} (Debian: systemd-container)')


def own_namespace():
    """Return inside a mount namespace of our own: start this program again there if need be."""
    me = str(os.getpid())
    # unshare execs and does not fork: the program that starts again has the same id.
    if os.environ.get('SHMB_OWN_NAMESPACE') != me:
        os.environ['SHMB_OWN_NAMESPACE'] = me
        os.execvp('unshare', ['unshare', '--mount', '--propagation', 'private', '--',
                              sys.executable, *sys.argv])


def mount(*arguments):
    done = subprocess.run(['mount', *arguments], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise Unavailable(f'cannot mount: {done.stderr.strip()}')


class Container:
    """One booted container; use as a context."""

    def __init__(self):
        self.name = f'shmb-{os.getpid()}-{time.time_ns() & 0xffffff:x}'
        self.pid = None
        self.supervisor = None
        self.cleanup = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.cleanup = stack
            self.make_root()
            self.make_cgroup()
            self.cleanup = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.cleanup.close()

    def make_root(self):
        base = pathlib.Path(tempfile.mkdtemp(prefix='shmb-systemd-'))
        self.cleanup.callback(base.rmdir)
        mount('-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', str(base))
        self.cleanup.callback(subprocess.run, ['umount', '-l', str(base)], check=False)
        for folder in ('upper', 'work', 'root'):
            (base / folder).mkdir()
        self.base, self.root = base, base / 'root'
        mount('-t', 'overlay', '-o', f'lowerdir=/,upperdir={base}/upper,workdir={base}/work',
              'overlay', str(self.root))
        self.cleanup.callback(subprocess.run, ['umount', '-l', str(self.root)], check=False)
        self.quieten()

    def quieten(self):
        """Take out of the overlay what the machine would start at boot."""
        etc = self.root / 'etc'
        (etc / 'machine-id').write_text(os.urandom(16).hex() + '\n')
        (etc / 'hostname').write_text(self.name + '\n')
        for link in [*etc.glob('systemd/system/*.wants/*'), *etc.glob('rc?.d/S*')]:
            if not link.name.startswith(KEEP):
                link.unlink()
        for unit in ('console-getty.service', 'getty.target', 'systemd-resolved.service',
                     'systemd-networkd.service', 'systemd-timesyncd.service',
                     'systemd-firstboot.service', 'systemd-update-utmp.service',
                     'systemd-sysusers.service', 'ldconfig.service',
                     'systemd-journal-catalog-update.service'):
            link = etc / 'systemd/system' / unit
            link.unlink(missing_ok=True)
            link.symlink_to('/dev/null')
        journald = etc / 'systemd/journald.conf.d'
        journald.mkdir(parents=True, exist_ok=True)
        (journald / 'test.conf').write_text('[Journal]\nStorage=volatile\n'
                                            'RateLimitIntervalSec=0\nForwardToConsole=no\n')

    def make_cgroup(self):
        """A control group of our own in a unified hierarchy, whatever the machine has."""
        subprocess.run(['umount', '-R', '/sys/fs/cgroup'], stderr=subprocess.DEVNULL, check=False)
        mount('-t', 'cgroup2', 'cgroup2', '/sys/fs/cgroup')
        self.group = pathlib.Path('/sys/fs/cgroup') / self.name
        try:
            self.group.mkdir()
        except OSError as error:
            raise Unavailable(f'cannot make a control group: {error}') from error
        self.cleanup.callback(self.remove_cgroup)

    def remove_cgroup(self):
        for folder, _, _ in os.walk(self.group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)

    def boot(self):
        # The child joins the group before it execs: nspawn takes its own group for the payload.
        join = f'echo $$ >{self.group}/cgroup.procs; exec "$@"'
        self.log = open(self.base / 'console', 'wb')
        self.cleanup.callback(self.log.close)
        self.supervisor = subprocess.Popen(
            ['sh', '-c', join, 'sh', 'systemd-nspawn', '--quiet', '-D', str(self.root),
             f'--machine={self.name}', '--register=no', '--keep-unit', '--boot', '--console=pipe',
             '--private-network', 'systemd.unit=multi-user.target', 'systemd.show_status=no'],
            env={**os.environ, 'SYSTEMD_NSPAWN_UNIFIED_HIERARCHY': '1'},
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.cleanup.callback(self.stop)
        deadline = time.monotonic() + BOOT_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.supervisor.poll() is not None:
                break
            self.pid = self.pid or self.find_init()
            if self.pid:
                state = self.run('systemctl', 'is-system-running', check=False).stdout.strip()
                if state in ('running', 'degraded'):
                    return
            time.sleep(0.1)
        said = (self.base / 'console').read_text(errors='replace').split('\n')
        raise Unavailable('the container does not boot: ' +
                          (' | '.join(line for line in said[-6:] if line) or 'it says nothing'))

    def find_init(self):
        """The process that is PID 1 inside: a grandchild of the supervisor."""
        for status in pathlib.Path('/proc').glob('[0-9]*/status'):
            with contextlib.suppress(OSError, KeyError, ValueError):
                fields = dict(line.split(':\t', 1) for line in status.read_text().splitlines()
                              if ':\t' in line)
                if fields['NSpid'].split()[1:] == ['1'] and self.is_below(int(fields['PPid'])):
                    return int(fields['Pid'])
        return None

    def is_below(self, pid):
        while pid > 1:
            if pid == self.supervisor.pid:
                return True
            fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
            pid = int(fields[1])
        return False

    def stop(self):
        if self.supervisor.poll() is None:
            self.supervisor.terminate()
            try:
                self.supervisor.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                if self.pid:
                    os.kill(self.pid, signal.SIGKILL)
                self.supervisor.kill()
                self.supervisor.wait()

    def inside(self, command, user):
        """What runs `command` inside, as root or as `user` with that user's groups."""
        if user:
            command = ('runuser', '-u', user, '--', *command)
        return ['nsenter', '-t', str(self.pid), '-a', '-r', '-w', 'env', '-i', 'LC_ALL=C.UTF-8',
                'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', *command]

    def start(self, *command, user=None):
        """Begin to run inside, and do not wait; what it writes is piped."""
        process = subprocess.Popen(self.inside(command, user), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, text=True)
        self.cleanup.callback(self.reap, process)
        return process

    @staticmethod
    def reap(process):
        if process.poll() is None:
            process.kill()
        process.communicate()

    def run(self, *command, user=None, check=True, seconds=120, **options):
        """Run inside and wait; text in, text out."""
        done = subprocess.run(
            self.inside(command, user),
            stdin=options.pop('stdin', None if 'input' in options else subprocess.DEVNULL),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=seconds, **options)
        if check and done.returncode:
            raise AssertionError(f'{" ".join(command)}: status {done.returncode}\n'
                                 f'{done.stdout}{done.stderr}')
        return done

    def write(self, path, text, mode=0o644):
        """Write a file of the container, from outside, before or after boot."""
        target = self.root / path.lstrip('/')
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
