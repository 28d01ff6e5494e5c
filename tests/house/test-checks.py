#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checks themselves: each finds the offender that it is there for, and nothing in clean text."""

import contextlib
import importlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import tree

includes = importlib.import_module('check-includes')
style = importlib.import_module('check-style')
shell = importlib.import_module('check-shell')
symbols = importlib.import_module('check-symbols')
atomics = importlib.import_module('check-atomics')
catalog = importlib.import_module('check-catalog')
exports = importlib.import_module('check-exports')

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / 'tools'))
tally = importlib.import_module('tally')

HEAD = '/* SPDX-License-Identifier: Apache-2.0 */\n'
OPEN = HEAD + '\n/* What this file is. */\n\n'


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.root = pathlib.Path(self.dir.name)

    def write(self, path, text):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return str(target)

    def expect(self, offences, *words):
        self.assertEqual(len(offences), 1, offences)
        for word in words:
            self.assertIn(word, offences[0])


class Includes(Case):
    def tree(self, path, include):
        for name in ('protocol/wire.h', 'memory/ring.h', 'config/decl.h', 'config/load.h',
                     'daemon/core/plan.h', 'daemon/sys/peer.h', 'daemon/conn.h', 'client/wait.h'):
            self.write(name, OPEN)
        self.write(path, OPEN + f'#include {include}\n')
        return includes.check(self.root)

    def test_downward_includes_pass(self):
        for path, include in (('memory/x.c', '"protocol/wire.h"'), ('daemon/x.c', '"config/load.h"'),
                              ('daemon/core/x.c', '"config/decl.h"'), ('protocol/x.c', '<errno.h>'),
                              ('client/x.c', '"memory/ring.h"'), ('client/x.c', '<shmbroker.h>'),
                              ('client/ctl/x.c', '"config/load.h"'), ('tests/x.c', '"daemon/conn.h"')):
            with self.subTest(path=path, include=include):
                self.assertEqual(self.tree(path, include), [])

    def test_upward_includes_are_named(self):
        for path, include, words in (
                ('protocol/x.c', '"memory/ring.h"', 'protocol may not see memory'),
                ('memory/x.c', '"config/decl.h"', 'memory may not see config'),
                ('config/x.c', '"daemon/core/plan.h"', 'config may not see daemon/core'),
                ('daemon/core/x.c', '"daemon/sys/peer.h"', 'daemon/core may not see daemon/sys'),
                ('daemon/sys/x.c', '"daemon/core/plan.h"', 'daemon/sys may not see daemon/core'),
                ('daemon/sys/x.c', '"config/decl.h"', 'daemon/sys may not see config'),
                ('daemon/x.c', '"client/wait.h"', 'daemon may not see client'),
                ('client/x.c', '"daemon/conn.h"', 'client may not see daemon'),
                ('client/x.c', '"config/decl.h"', 'client may not see config'),
                ('client/examples/x.c', '"protocol/wire.h"', 'client/examples may not see protocol'),
                ('daemon/core/x.c', '"config/load.h"', 'pure code may not see it'),
                ('daemon/x.c', '<shmbroker.h>', 'only clients'),
                ('memory/x.c', '"ring.h"', 'carries its folder'),
                ('memory/x.c', '"memory/gone.h"', 'no such file'),
                ('memory/x.c', '"memory/ring.c"', 'never included')):
            with self.subTest(path=path, include=include):
                self.expect(self.tree(path, include), words)
            (self.root / path).unlink()

    def test_include_in_a_comment_is_none(self):
        self.write('protocol/x.c', OPEN + '/*\n#include "memory/ring.h"\n*/\n')
        self.assertEqual(includes.check(self.root), [])

    def test_circle_is_found(self):
        self.write('memory/a.h', OPEN + '#include "memory/b.h"\n')
        self.write('memory/b.h', OPEN + '#include "memory/a.h"\n')
        self.expect(includes.check(self.root), 'memory/a.h -> memory/b.h -> memory/a.h')


class Style(Case):
    def c(self, body, path='memory/x.c'):
        self.write(path, OPEN + body)
        return style.check(self.root)

    def test_clean_file_passes(self):
        self.assertEqual(self.c('/* see http://example.org */\nint f(void) {\n'
                                '        g("a // b");\n        return 0;\n}\n'), [])

    def test_offenders_are_named(self):
        for body, words in (
                ('int i; // note\n', 'comments are'),
                ('/* ' + 'TO' + 'DO: later */\n', 'unfinished'),
                ('volatile int i;\n', 'volatile'),
                ('int i; \n', 'blanks at the end'),
                ('\tint i;\n', 'spaces'),
                ('int ' + 'i' * 100 + ';\n', 'columns'),
                ('int i;', 'newline'),
                ('/* see ' + 'GONE' + '.md */\n', 'there is no page'),
                (f'char *p = "{self.root}/x";\n', 'path of the machine')):
            with self.subTest(words=words):
                self.expect(self.c(body), words)

    def test_flag_of_a_signal_handler_may_be_volatile(self):
        self.assertEqual(self.c('static volatile sig_atomic_t stop;\n'), [])

    def test_long_function_is_found_and_a_table_is_not_one(self):
        self.assertEqual(self.c('int f(void) {\n' + '        g();\n' * 68 + '}\n'), [])
        self.expect(self.c('int f(void) {\n' + '        g();\n' * 69 + '}\n'), 'function of 71')
        self.expect(self.c('int f(int a,\n      int b) {\n' + '        g();\n' * 68 + '}\n'),
                    'function of 71')
        self.assertEqual(self.c('static const int t[] = {\n' + '        1,\n' * 99 + '};\n'), [])

    def test_long_files_are_found(self):
        self.expect(self.c('int i;\n' * 597), '601 lines')
        (self.root / 'memory/x.c').unlink()
        self.expect(self.c('int i;\n' * 247, 'memory/x.h'), '251 lines')

    def test_missing_licence_and_opening_comment_are_found(self):
        self.write('memory/x.c', HEAD + '\nint i;\n')
        self.expect(style.check(self.root), 'block comment')
        (self.root / 'memory/x.c').unlink()
        self.write('tools/x', '#!/bin/sh\n')
        self.expect(style.check(self.root), 'SPDX')


class Objects(Case):
    """Compiled text: what nm sees."""

    def compile(self, name, text, *options):
        source, target = self.write(name + '.c', text), str(self.root / (name + '.o'))
        cc = os.environ.get('CC', 'cc').split()
        subprocess.run([*cc, '-O0', '-fPIC', *options, '-o', target, source], check=True)
        return target

    def test_system_call_in_a_pure_layer_is_named(self):
        allow = self.write('allow', 'memcpy any it is pure\n')
        clean = self.compile('a', 'int f(void) { return 1; }\n', '-c')
        dirty = self.compile('b', 'int getpid(void), f(void); int g(void) {return getpid() + f();}\n',
                             '-c')
        self.assertEqual(symbols.check('nm', allow, [['a', clean]]), [])
        self.expect(symbols.check('nm', allow, [['a', clean], ['b', dirty]]), 'b: uses getpid')

    def test_layer_may_not_use_what_a_later_layer_defines(self):
        allow = self.write('allow', '')
        low = self.compile('a', 'int g(void); int f(void) { return g(); }\n', '-c')
        high = self.compile('b', 'int g(void) { return 1; }\n', '-c')
        self.expect(symbols.check('nm', allow, [['low', low], ['high', high]]), 'low: uses g')

    def test_grant_holds_for_its_layer_only_and_needs_a_reason(self):
        allow = self.write('allow', 'malloc core because\n')
        user = self.compile('a', '#include <stdlib.h>\nvoid *f(void) { return malloc(1); }\n', '-c')
        self.assertEqual(symbols.check('nm', allow, [['core', user]]), [])
        self.expect(symbols.check('nm', allow, [['memory', user]]), 'memory: uses malloc')
        with self.assertRaises(SystemExit):
            symbols.grants(self.write('bare', 'malloc core\n'))

    def library(self, body, names):
        path = self.write('map', 'SHMB_0 {\nglobal:\n' + names + 'local:\n        *;\n};\n')
        return path, self.compile('lib', body, '-shared', '-Wl,--version-script=' + path)

    def test_exports_equal_map_and_header(self):
        header = self.write('h.h', '#define X(a) shmb_x(a)\nstruct shmb_s { int (*f)(void); };\n'
                                   'int shmb_a(struct shmb_s *s);\n/* int shmb_no(void); */\n')
        body = 'int shmb_a(void) { return 1; }\nint shmb_b(void) { return 2; }\n'
        path, library = self.library(body, '        shmb_a;\n')
        self.assertEqual(exports.check('nm', library, path, header, '/nonexistent'), [])
        path, library = self.library(body, '        shmb_a;\n        shmb_b;\n')
        self.expect(exports.check('nm', library, path, header, '/nonexistent'), 'shmb_b', 'not in')
        path, library = self.library('int shmb_b(void) { return 2; }\n', '        shmb_a;\n')
        self.expect(exports.check('nm', library, path, header, '/nonexistent'), 'not exported')

    def test_manual_has_each_name(self):
        header = self.write('h.h', 'int shmb_a(void);\n')
        path, library = self.library('int shmb_a(void) { return 1; }\n', '        shmb_a;\n')
        manual = self.write('m.scd', '*shmb\\_a*() does it.\n')
        self.assertEqual(exports.check('nm', library, path, header, manual), [])
        manual = self.write('m.scd', '*shmb\\_other*() does it.\n')
        self.expect(exports.check('nm', library, path, header, manual), 'shmb_a: not in')


class Atomics(Case):
    def c(self, body, path='memory/x.c'):
        self.write(path, OPEN + 'void f(void) {\n' + body + '}\n')
        return atomics.check(self.root)

    def test_operation_with_its_reason_passes(self):
        self.assertEqual(self.c('        /* release: publishes the item */\n'
                                '        shmb_store_release(&tail, 1);\n'), [])
        self.assertEqual(self.c('        shmb_fence_full(); /* the fence of W2 */\n'), [])

    def test_operation_without_reason_is_found(self):
        self.expect(self.c('        shmb_store_release(&tail, 1);\n'), 'memory/x.c:6')
        self.expect(self.c('        /* the tail */\n        shmb_load_acquire(&tail);\n'), 'orders')
        self.expect(self.c('        /* release: for another */\n        g();\n\n'
                           '        shmb_store_release(&tail, 1);\n'), 'memory/x.c:9')
        self.expect(self.c('        atomic_fetch_add(&tail, 1);\n'), 'atomic_fetch_add')


class Catalog(Case):
    def catalog(self, text):
        header = self.write('ids.h', '/* A thing. REGION= */\n#define SHMB_MESSAGE_A_STR "aa"\n')
        return catalog.check(header, self.write('x.catalog', text))

    def test_each_id_has_a_text_with_fields_that_exist(self):
        self.assertEqual(self.catalog('-- aa\nSubject: @REGION@ is there\n'), [])
        self.expect(self.catalog('-- aa\nSubject: @SIZE@ is there\n'), '@SIZE@')
        self.expect(self.catalog(''), 'aa: no text')
        self.expect(self.catalog('-- aa\nSubject: a\n\n-- bb\nSubject: b\n'), 'bb: not in')


class Shell(Case):
    def test_script_that_does_not_parse_is_found(self):
        self.write('tools/good', '#!/bin/sh\necho yes\n')
        self.assertEqual(shell.check(self.root), [])
        self.write('tools/bad', '#!/bin/sh\nif true; then\n')
        self.assertTrue(any('bad' in line for line in shell.check(self.root)))


class Tally(Case):
    def tally(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = tally.main(self.root)
        return status, out.getvalue().splitlines()

    def log(self, build, *records):
        self.write(f'{build}/meson-logs/testlog.json', ''.join(
            json.dumps({'name': 'unit / x', 'result': result, 'stdout': said}) + '\n'
            for result, said in records))

    def test_counts_over_builds_and_gives_reasons(self):
        self.log('plain', ('OK', ''), ('EXPECTEDFAIL', ''), ('SKIP', 'a\nskipped: needs root\n'))
        self.log('other', ('OK', ''))
        status, lines = self.tally()
        self.assertEqual((status, lines[-1]), (0, '3 passed, 0 failed, 1 skipped'))
        self.assertIn('skipped: plain: unit / x: skipped: needs root', lines)

    def test_everything_else_is_a_failure(self):
        self.log('plain', ('OK', ''), ('TIMEOUT', ''), ('UNEXPECTEDPASS', ''), ('NEWWORD', ''))
        self.assertEqual(self.tally()[0], 1)
        self.assertEqual(self.tally()[1][-1], '1 passed, 3 failed, 0 skipped')

    def test_build_that_broke_off_and_nothing_at_all_are_failures(self):
        self.assertEqual(self.tally()[0], 1)
        self.log('plain', ('OK', ''))
        self.write('other.broken', 'other: does not build\n')
        self.assertEqual(self.tally()[1][-1], '1 passed, 1 failed, 0 skipped')
        self.assertEqual(self.tally()[0], 1)


class Text(unittest.TestCase):
    def test_blank_keeps_lines_and_drops_comments_and_strings(self):
        text = 'a /* x\ny */ "s//t" \'"\' // z\nb'
        blanked = tree.blank(text)
        self.assertEqual(blanked.count('\n'), text.count('\n'))
        self.assertNotIn('y', blanked)
        self.assertNotIn('t', blanked)
        self.assertIn('// z', blanked)


if __name__ == '__main__':
    unittest.main(buffer=True)
