#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check-style.py ROOT: what of the house style a program can see.

Lengths of lines, functions and files; comments; the licence line; unfinished work; `volatile`;
names of folders that exist on one machine only.
"""

import os
import re
import sys

import tree

LINE_MAX = 100
FUNCTION_LINES_MAX = 70
C_LINES_MAX = 600
H_LINES_MAX = 250
# The one header that users read: it is their manual as well.
HEADER = 'client/include/shmbroker.h'
HEADER_LINES_MAX = 400

LICENCE = 'SPDX-License-Identifier: Apache-2.0'

# No comment can be written in these, or their bytes are somebody else's.
NO_LICENCE = re.compile(r'^LICENSE$|\.(md|json|png|txt\.gz)$|^\.(gitignore|gitattributes|editorconfig)$')
GENERATED = re.compile(r'^LICENSE$')

# Put together here, or this file would be its own first offender.
UNFINISHED = re.compile(r'\b(' + '|'.join(('TO' + 'DO', 'FIX' + 'ME', 'X' * 3)) + r')\b')

# Folders that any machine has; the checkout may lie in one of them.
COMMON = ('usr', 'home', 'tmp', 'var', 'opt', 'srv', 'root', 'run', 'mnt', 'media', 'dev', 'build',
          'builds', 'github', 'Users', 'src')

# A flag that a signal handler sets and a line of assembler are what the word is for.
VOLATILE = re.compile(r'(?<!asm )(?<!__asm__ )\bvolatile\b(?! sig_atomic_t\b)')

ATTRIBUTE = re.compile(r'__attribute__\(\(.*?\)\)')


def machine_paths(root):
    """What would give away the machine that this was written on, as a pattern."""
    root = os.path.abspath(root)
    patterns = [r'/home/(?!(?:user|alice)\b)[a-z][a-z0-9._-]*/', re.escape(root) + r'\b']
    top = root.split('/')[1]
    if top not in COMMON:
        patterns.append(r'(?<![\w./$}])/' + re.escape(top) + r'/')
    return re.compile('|'.join(patterns))


def functions(lines):
    """(first line, number of lines) of each function: house style puts its last brace alone."""
    start, head, inside = 0, '', False
    for number, line in enumerate(lines, 1):
        if inside:
            if line.startswith('}'):
                yield start, number - start + 1
                inside, head = False, ''
            continue
        if not head and not re.match(r'[A-Za-z_]', line):
            continue
        if not head:
            start = number
        head += line + ' '
        if re.search(r'[;:}]\s*$', line):
            head = ''
        elif line.rstrip().endswith('{'):
            # A table has a `=` before its brace, a type has no parenthesis.
            inside = '=' not in head and '(' in ATTRIBUTE.sub('', head)
            head = ''


def check_c(path, text):
    code = tree.blank(text)
    lines = code.split('\n')
    limit = H_LINES_MAX if path.endswith('.h') else C_LINES_MAX
    if path == HEADER:
        limit = HEADER_LINES_MAX
    n_lines = text.count('\n')
    if n_lines > limit:
        yield n_lines, f'{n_lines} lines, {limit} at most'
    for start, n in functions(lines):
        if n > FUNCTION_LINES_MAX:
            yield start, f'function of {n} lines, {FUNCTION_LINES_MAX} at most'
    for number, line in enumerate(lines, 1):
        if '//' in line:
            yield number, 'comments are /* */'
        if VOLATILE.search(line):
            yield number, 'volatile orders nothing between processes: use memory/atomics.h'
        if re.search(r'\balloca[ \t]*\(', line):
            yield number, 'the stack has a known bound: no alloca'
    body = text.split('\n', 1)[1] if '\n' in text else ''
    body = re.sub(r'^\s*#pragma once\s*', '', body)
    if not body.lstrip().startswith('/*'):
        yield 2, 'opens without a block comment that says what this file is'


def check_pages(root, path, text):
    """A page that a comment sends its reader to is in the tree."""
    for number, line in enumerate(text.split('\n'), 1):
        for page in re.findall(r'(?<![\w./-])[A-Z]{4,}\.md\b', line):
            if not os.path.exists(os.path.join(root, page)):
                yield number, f'there is no page {page}'


def check_any(path, text, paths):
    if not NO_LICENCE.search(path):
        if LICENCE not in '\n'.join(text.split('\n')[:3]):
            yield 1, f'no {LICENCE} in the first lines'
    if path.endswith(('.c', '.h')) and not text.startswith(f'/* {LICENCE} */\n'):
        yield 1, f'first line is not /* {LICENCE} */'
    if GENERATED.search(path):
        return
    if text and not text.endswith('\n'):
        yield text.count('\n') + 1, 'no newline at the end'
    for number, line in enumerate(text.split('\n'), 1):
        if UNFINISHED.search(line):
            yield number, 'unfinished work is an issue, not a comment'
        if paths.search(line):
            yield number, 'a path of the machine that this was written on'
        if line != line.rstrip():
            yield number, 'blanks at the end of the line'
        if path.endswith(('.c', '.h')):
            if '\t' in line:
                yield number, 'indent with spaces'
            if len(line) > LINE_MAX:
                yield number, f'{len(line)} columns, {LINE_MAX} at most'


def check(root):
    offences, paths = [], machine_paths(root)
    for path in tree.files(root):
        text = tree.read(root, path)
        found = list(check_any(path, text, paths))
        found += check_pages(root, path, text)
        if path.endswith(('.c', '.h')):
            found += check_c(path, text)
        offences += [f'{path}:{line}: {what}' for line, what in found]
    return offences


if __name__ == '__main__':
    tree.finish(check(sys.argv[1]), 'style')
