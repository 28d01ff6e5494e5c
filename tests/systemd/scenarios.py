# SPDX-License-Identifier: Apache-2.0
"""What an operator does and sees, step by step, on one booted container.

The functions test_* run in the order of this file and build on each other, as a day does.
"""


def prepare(box):
    """Before the boot: what a package would have done."""


def test_install_makes_user_and_group(box):
    box.run('systemd-sysusers')
    assert 'Shared Memory Broker' in box.run('getent', 'passwd', 'shmbroker').stdout
    assert box.run('getent', 'group', 'shmbroker-admin').stdout.strip()


def test_install_has_a_catalog(box):
    box.run('journalctl', '--update-catalog')
    assert 'The shared memory broker is ready' in box.run('journalctl', '--list-catalog').stdout
