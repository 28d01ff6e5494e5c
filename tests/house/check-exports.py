#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check-exports.py NM LIBRARY MAP HEADER MANUAL: one list of names, in four places.

What the shared library exports is what its version script names, is what <shmbroker.h> declares;
and the manual page has a word on each.
"""

import pathlib
import re
import subprocess
import sys

import tree


def exported(nm, library):
    """Names with their version; the version's own symbol (type A) is not a name."""
    out = subprocess.run([nm, '-D', '-P', '--defined-only', library], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return {line.split()[0] for line in out.splitlines() if line.split()[1] != 'A'}


def mapped(path):
    text = tree.blank(pathlib.Path(path).read_text(encoding='utf-8'))
    found = set()
    for version, names in re.findall(r'(\w+)\s*\{\s*global:(.*?)local:', text, re.S):
        found |= {f'{name.strip()}@@{version}' for name in names.split(';') if name.strip()}
    return found


def declared(path):
    """Functions that a header declares: a name before a parenthesis, outside of any braces."""
    text = tree.blank(pathlib.Path(path).read_text(encoding='utf-8'))
    text = re.sub(r'^[ \t]*#(?:.*\\\n)*.*$', '', text, flags=re.M)
    text = re.sub(r'extern\s+"\s*"\s*\{', '', text)
    while re.search(r'\{[^{}]*\}', text):
        text = re.sub(r'\{[^{}]*\}', '', text)
    found = set()
    for statement in text.split(';'):
        match = re.search(r'\b(shmb_\w+)\s*\(', statement)
        if match and 'typedef' not in statement and 'static' not in statement:
            found.add(match.group(1))
    return found


def check(nm, library, path_map, header, manual):
    offences = []
    exports, names = exported(nm, library), mapped(path_map)
    functions = declared(header)
    plain = {name.split('@')[0] for name in names}
    offences += [f'{name}: exported, not in {path_map}' for name in sorted(exports - names)]
    offences += [f'{name}: in {path_map}, not exported' for name in sorted(names - exports)]
    offences += [f'{name}: in {header}, not in {path_map}' for name in sorted(functions - plain)]
    offences += [f'{name}: in {path_map}, not in {header}' for name in sorted(plain - functions)]
    if pathlib.Path(manual).exists():
        words = set(re.findall(r'\w+', pathlib.Path(manual).read_text(encoding='utf-8').replace('\\_', '_')))
        offences += [f'{name}: not in {manual}' for name in sorted(plain - words)]
    print(f'{len(exports)} names exported')
    return offences


if __name__ == '__main__':
    tree.finish(check(*sys.argv[1:6]), 'exports')
