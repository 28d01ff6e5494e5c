#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check-catalog.py HEADER CATALOG: each message id has a text, and the text only fields it carries.

A field that an entry does not carry would reach the operator as a bare @NAME@.
"""

import pathlib
import re
import sys

import tree


def ids(text):
    """{id: fields} of the header: a comment with the fields, then the definition."""
    found = {}
    for comment, value in re.findall(r'/\*((?:(?!\*/).)*)\*/\s*#define SHMB_MESSAGE_\w+_STR "(\w+)"',
                                     text, re.S):
        found[value] = set(re.findall(r'([A-Z][A-Z_]*)=', comment))
    return found


def entries(text):
    """{id: fields} of the catalog."""
    parts = re.split(r'^-- (\w+)$', text, flags=re.M)[1:]
    return {key: set(re.findall(r'@([A-Z_]+)@', body)) for key, body in zip(parts[::2], parts[1::2])}


def check(header, catalog):
    known = ids(pathlib.Path(header).read_text(encoding='utf-8'))
    told = entries(pathlib.Path(catalog).read_text(encoding='utf-8'))
    offences = [f'{key}: no text in {catalog}' for key in known.keys() - told.keys()]
    offences += [f'{key}: not in {header}' for key in told.keys() - known.keys()]
    for key in known.keys() & told.keys():
        offences += [f'{key}: the text names @{field}@, which the entry does not carry'
                     for field in sorted(told[key] - known[key])]
    return sorted(offences) if known else [f'{header}: no ids found']


if __name__ == '__main__':
    tree.finish(check(*sys.argv[1:3]), 'catalog')
