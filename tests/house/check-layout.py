#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check-layout.py ROOT COMPILER...: shmbroker-memory(7) says what memory/layout.h says.

Each line `0x0100  u64  tail` of the page becomes an assertion about offset and size, and the compiler
judges it. Each member that is not reserved must stand on the page, so none can be added in silence.
"""

import os
import re
import subprocess
import sys

HEADER = 'memory/layout.h'
PAGE = 'man/shmbroker-memory.7.scd'

# The tables of the page, by the words before them, and the types that they show.
TABLES = (
    ('Every object but', 'ShmbHeader', None),
    ('Control:', 'ShmbControl', 'ShmbParty'),
    ('Lane:', 'ShmbLane', 'ShmbJoin'),
    ('Seat:', 'ShmbSeat', 'ShmbPlace'),
    ('Group:', 'ShmbGroup', None),
    ('Counters,', 'ShmbCounters', None),
)

# Members that are whole structures: the page shows what is inside, or says where.
STRUCTURES = ('header', 'bell', 'sleep', 'counters', 'parties', 'slots', 'places', 'joins', 'words')

SIZES = {'u8': 1, 'u16': 2, 'u32': 4, 'u64': 8}

LINE = re.compile(r'^ *(\+?)0x([0-9a-f]+)\s+(u8|u16|u32|u64)(?:\[(\d+)\])?(?:\s+([a-z_.]+))?')


def tables(page):
    """(type, offset, size, member) of each line; the part after a + is of the inner type."""
    for words, outer, inner in TABLES:
        at = page.index('\n' + words)
        block = page[at:].split('```')[1]
        for line in block.split('\n'):
            found = LINE.match(line)
            if not found or not found[5]:
                continue
            size = SIZES[found[3]] * int(found[4] or 1)
            yield inner if found[1] else outer, int(found[2], 16), size, found[5]


def members(header, name):
    body = re.search(r'typedef struct %s \{(.*?)\n\} %s;' % (name, name), header, re.S)[1]
    body = re.sub(r'/\*.*?\*/', '', body, flags=re.S)
    for declaration in body.split(';'):
        words = re.sub(r'\[.*?\]', '', declaration).split()
        for member in ' '.join(words[-1:] if ',' not in declaration else words[1:]).split(','):
            member = member.split()[-1] if member.split() else ''
            if member and not member.startswith('reserved'):
                yield member


def main():
    root, compiler = sys.argv[1], sys.argv[2:]
    with open(os.path.join(root, HEADER), encoding='utf-8') as file:
        header = file.read()
    with open(os.path.join(root, PAGE), encoding='utf-8') as file:
        page = file.read()

    said = list(tables(page))
    source = f'#include "{HEADER}"\n'
    for kind, offset, size, member in said:
        path = member + '.bell' if member == 'bell' else member
        source += (f'static_assert(offsetof({kind}, {path}) == {offset}, "{kind}.{member}");\n'
                   f'static_assert(sizeof((({kind} *)0)->{path}) == {size}, "{kind}.{member}");\n')
    result = subprocess.run([*compiler, '-std=gnu17', '-I', root, '-fsyntax-only', '-x', 'c', '-'],
                            input=source, text=True, check=False)

    n_missing = 0
    for kind in sorted({kind for kind, *_ in said}):
        known = {member.split('.')[0] for its, _, _, member in said if its == kind}
        for member in members(header, kind):
            if member not in known and member not in STRUCTURES:
                print(f'{PAGE}: {kind}.{member} of {HEADER} is missing')
                n_missing += 1
    print(f'layout: {len(said)} lines compared, {n_missing} members missing')
    return 1 if result.returncode or n_missing or len(said) < 40 else 0


if __name__ == '__main__':
    sys.exit(main())
