#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py BUILD-DIR: the installed build under a real systemd, one boot for all scenarios (TAP).

Skipped, with the reason, where a container cannot be had.
"""

import os
import shutil
import subprocess
import sys
import traceback

import container
import scenarios


def install(build, root):
    subprocess.run(['meson', 'install', '-C', build, '--no-rebuild', '--quiet', '--destdir', root],
                   check=True, stdout=subprocess.DEVNULL)
    # What is in its /tmp is not in the container's, and the build may be there.
    for name in 'soak-load', 'holder', 'killer':
        shutil.copy(os.path.join(build, 'tests/systemd', name), root / 'usr/local/bin')
    shutil.copy(os.path.join(build, 'tests/system/shmbrokerd-next'), root / 'usr/local/bin')


def explain(text):
    """Beside the protocol: meson repeats what a failed test wrote to stderr."""
    print(text.strip(), file=sys.stderr, flush=True)


def play(box):
    """Run each scenario; the number that failed."""
    todo = [value for name, value in vars(scenarios).items() if name.startswith('test_')]
    print(f'1..{len(todo)}')
    n_failed = 0
    for number, scenario in enumerate(todo, 1):
        name = scenario.__name__[len('test_'):].replace('_', '-')
        try:
            scenario(box)
            print(f'ok {number} {name}', flush=True)
        except Exception:  # pylint: disable=broad-except # a scenario may fail in any way
            n_failed += 1
            print(f'not ok {number} {name}', flush=True)
            explain(traceback.format_exc())
            explain(box.run('journalctl', '--no-pager', '-n', '40', check=False).stdout)
    return n_failed


def main(build):
    try:
        container.check_machine()
        container.own_namespace()
        with container.Container() as box:
            install(build, box.root)
            scenarios.prepare(box)
            box.boot()
            return 1 if play(box) else 0
    except container.Unavailable as reason:
        print(f'1..0 # SKIP {str(reason).splitlines()[0]}')
        return 0


if __name__ == '__main__':
    sys.exit(main(os.path.abspath(sys.argv[1])))
