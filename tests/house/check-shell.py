#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check-shell.py ROOT: every shell script parses, and shellcheck(1), where it is, has no warning."""

import re
import shutil
import subprocess
import sys

import tree

SHEBANG = re.compile(r'#! ?/(?:usr/)?bin/(?:env )?(sh|bash)\b')


def check(root):
    offences, lint = [], shutil.which('shellcheck')
    for path in tree.files(root):
        match = SHEBANG.match(tree.read(root, path))
        if not match:
            continue
        commands = [[match.group(1), '-n', path]]
        if lint:
            commands.append([lint, '--severity=warning', '--format=gcc', path])
        for command in commands:
            done = subprocess.run(command, cwd=root, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
            if done.returncode:
                offences += done.stdout.splitlines() or [f'{path}: {command[0]} refuses it']
    if not lint:
        print('note: no shellcheck on this machine, scripts were only parsed')
    return offences


if __name__ == '__main__':
    tree.finish(check(sys.argv[1]), 'shell')
