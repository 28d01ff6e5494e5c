# SPDX-License-Identifier: Apache-2.0
"""What the checks of this folder share: which files are ours, and C without its comments.

The tree is walked, not asked of git, so that a check says the same in a checkout, in a tarball of
`meson dist`, and about a file that is not committed yet.
"""

import pathlib
import re
import sys

FOLDERS = ('protocol', 'memory', 'config', 'daemon', 'client', 'systemd', 'man', 'tests', 'bench',
           'tools', '.ci')

# Inputs of the fuzzers and broken files that tests feed to a parser are bytes, not text of ours.
FOREIGN = re.compile(r'^tests/fuzz/corpus/|^tests/[a-z]+/data/|/__pycache__/')


def files(root):
    """All files of ours below `root`, as paths relative to it, in a fixed order."""
    root = pathlib.Path(root)
    found = [p.relative_to(root) for p in root.iterdir() if p.is_file() and p.name != '.git']
    for folder in FOLDERS:
        found += [p.relative_to(root) for p in (root / folder).rglob('*') if p.is_file()]
    return sorted(str(p) for p in found if not FOREIGN.search(str(p)))


def c_files(root):
    return [p for p in files(root) if p.endswith(('.c', '.h'))]


def read(root, path):
    return (pathlib.Path(root) / path).read_text(encoding='utf-8', errors='replace')


TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.S)


def blank(text, keep_strings=False):
    """`text` with comments and string contents blanked, line for line; `//` comments stay."""

    def replace(match):
        token = match.group(0)
        if token.startswith('//') or (keep_strings and token[0] in '"\''):
            return token
        if token[0] in '"\'':
            return token[0] + ' ' * (len(token) - 2) + token[0]
        return re.sub(r'[^\n]', ' ', token)

    return TOKEN.sub(replace, text)


def finish(offences, what):
    """Print each offence and end the program: 1 if there was one, else 0."""
    for offence in offences:
        print(offence)
    print(f'{what}: {len(offences)} offences')
    sys.exit(1 if offences else 0)
