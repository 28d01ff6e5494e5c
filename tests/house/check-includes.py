#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check-includes.py ROOT: no include points up.

A folder is a layer. What each may see is the table below, which is the table of HACKING.md. Beyond
the table: an include of ours carries its folder and exists, a .c file is never included, the
loader of config (files, user database) is no part of its pure side, and headers form no circle.
"""

import os
import re
import sys

import tree

PURE = ('protocol', 'memory', 'config')

MAY_SEE = {
    'protocol': ('protocol',),
    'memory': ('protocol', 'memory'),
    'config': PURE,
    'daemon/core': PURE + ('daemon/core',),
    'daemon/sys': ('protocol', 'memory', 'daemon/sys'),
    'daemon': PURE + ('daemon/core', 'daemon/sys', 'daemon'),
    'client/include': (),
    'client': ('protocol', 'memory', 'client', 'client/include'),
    'client/ctl': PURE + ('client', 'client/include', 'client/ctl'),
    'client/examples': (),
}

# Only these may speak as a user of the library does.
SEES_PUBLIC_HEADER = ('client', 'client/ctl', 'client/examples', 'tests', 'bench')

# Files and the user database: for the daemon and for `shmbrokerctl check`.
LOADER = ('config/load.h', 'config/check.h', 'config/dropins.h', 'config/file.h', 'config/users.h')
LOADER_SOURCES = tuple(header.replace('.h', '.c') for header in LOADER)
OFFERED = ('config/load.h', 'config/check.h')
SEES_LOADER = ('daemon', 'client/ctl')

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def layer_of(path):
    folder = os.path.dirname(path)
    while folder and folder not in MAY_SEE:
        folder = os.path.dirname(folder)
    return folder


def judge(path, quote, target, exists):
    """One sentence against the include of `target` in `path`, or None."""
    layer = layer_of(path)
    if quote == '<':
        if target == 'shmbroker.h' and not path.startswith(SEES_PUBLIC_HEADER):
            return 'only clients see the library\'s header'
        return None
    if target.endswith('.c'):
        return 'a .c file is compiled, never included'
    if '/' not in target:
        return 'an include of ours carries its folder'
    if target not in exists:
        return 'no such file in the tree'
    if not layer:
        return None
    if layer_of(target) not in MAY_SEE[layer]:
        return f'{layer} may not see {layer_of(target) or os.path.dirname(target)}'
    if target in LOADER and path not in LOADER + LOADER_SOURCES \
            and (layer not in SEES_LOADER or target not in OFFERED):
        return 'the loader reads files and users: pure code may not see it'
    return None


def circle(graph):
    """The files of one circle of includes, or None."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return None
        path.append(node)
        for target in graph.get(node, ()):
            found = visit(target)
            if found:
                return found
        path.pop()
        done.add(node)
        return None

    for node in sorted(graph):
        found = visit(node)
        if found:
            return found
    return None


def check(root):
    exists = set(tree.c_files(root))
    offences, graph = [], {}
    for path in sorted(exists):
        text = tree.blank(tree.read(root, path), keep_strings=True)
        for match in INCLUDE.finditer(text):
            quote, target = match.groups()
            line = text.count('\n', 0, match.start()) + 1
            wrong = judge(path, quote, target, exists)
            if wrong:
                offences.append(f'{path}:{line}: {target}: {wrong}')
            if quote == '"':
                graph.setdefault(path, []).append(target)
    found = circle(graph)
    if found:
        offences.append('circle of includes: ' + ' -> '.join(found))
    return offences


if __name__ == '__main__':
    tree.finish(check(sys.argv[1]), 'includes')
