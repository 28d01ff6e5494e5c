#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check-atomics.py ROOT: beside each atomic operation stands what it orders, or why it need not.

Product code only. The comment stands on the line of the operation or above its statement; one
comment may speak for a few statements in a row, no further than REACH lines and not beyond an
empty line. It names the order it explains.
"""

import re
import sys

import tree

REACH = 8

# The one file that defines them.
DEFINES = 'memory/atomics.h'
PRODUCT = ('protocol/', 'memory/', 'config/', 'daemon/', 'client/')

OPERATION = re.compile(r'\b(?:shmb_(?:load|store|fence|exchange|add|cas)_(\w+)|atomic_\w+)[ \t]*\(')
WORDS = {
    'relaxed': r'relaxed|only we|display',
    'acquire': r'acquire',
    'release': r'release',
    'full': r'fence|barrier|dekker',
    'compiler': r'compiler|fence|barrier',
}
ANY = '|'.join(WORDS.values()) + r'|seq_cst|orders|pairs'


def explained(lines, code, number, word):
    """Whether a comment with `word` stands on line `number` (from 0) or close above it."""
    for at in range(number, max(-1, number - REACH), -1):
        if not lines[at].strip():
            return False
        comment = ''.join(a for a, b in zip(lines[at], code[at].ljust(len(lines[at]))) if a != b)
        if re.search(word, comment, re.I):
            return True
    return False


def check(root):
    offences = []
    for path in tree.c_files(root):
        if path == DEFINES or not path.startswith(PRODUCT):
            continue
        text = tree.read(root, path)
        lines, code = text.split('\n'), tree.blank(text).split('\n')
        for number, line in enumerate(code):
            if line.lstrip().startswith('#'):
                continue
            for match in OPERATION.finditer(line):
                order = match.group(1) or ''
                if not explained(lines, code, number, WORDS.get(order, ANY)):
                    offences.append(f'{path}:{number + 1}: {match.group(0)}): no comment says '
                                    'what it orders and with what it pairs')
    return offences


if __name__ == '__main__':
    tree.finish(check(sys.argv[1]), 'atomics')
