#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check-protocol.py TABLES STATUS MANUAL: shmbroker-protocol(7) is protocol/wire-table.c in prose.

Each field of each message stands in the manual with its tag, its name and its type; each status
with its number, its name and its errno.
"""

import pathlib
import re
import sys

import tree

TYPES = {'U32': 'u32', 'U64': 'u64', 'BOOL': 'bool', 'UUID': 'uuid', 'STRING': 'string',
         'OPTIONAL': 'string', 'STRUCT': 'fields', 'ARRAY': 'fields, repeated', 'PAGE': 'page'}
FIELD = re.compile(r'\b(' + '|'.join(TYPES) + r')\((\d+), (\w+), (\w+)')
STATUS = re.compile(r'\[SHMB_STATUS_\w+\] = \{ (\w+), "([\w-]+)" \}')


def rows(manual):
    """The first three cells of each row of each table."""
    cells = [re.sub(r'^[|:] *', '', line).replace('\\', '') for line in manual.split('\n')
             if re.match(r'[|:]', line)]
    starts = [i for i, line in enumerate(line for line in manual.split('\n')
                                         if re.match(r'[|:]', line)) if line.startswith('|')]
    return {tuple(cells[i:i + 3]) for i in starts}


def check(tables, status, manual):
    found = rows(pathlib.Path(manual).read_text(encoding='utf-8'))
    text = tree.blank(pathlib.Path(tables).read_text(encoding='utf-8'), keep_strings=True)
    wanted = [((tag, name, TYPES[kind]), struct) for kind, tag, struct, name in FIELD.findall(text)]
    text = pathlib.Path(status).read_text(encoding='utf-8')
    for number, (errno, name) in enumerate(STATUS.findall(text)):
        if number > 0:
            wanted.append(((str(number), name, errno), 'status'))
    print(f'{len(wanted)} rows wanted')
    return [f'{manual}: no row {row} ({where})' for row, where in wanted if row not in found]


if __name__ == '__main__':
    tree.finish(check(*sys.argv[1:4]), 'protocol')
