#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check-symbols.py NM ALLOWED LAYER=LIBRARY...: pure layers call no system.

Each library may use what it or a library before it defines, and what the file ALLOWED grants:
lines `symbol layer[,layer] reason`, layer `any` for all. A grant that nobody uses is only noted:
which copies become calls is up to the compiler and its options.
"""

import pathlib
import re
import subprocess
import sys

import tree

# What -fsanitize, -fstack-protector, --coverage and -fPIC put into every object.
INSTRUMENTATION = re.compile(r'^_GLOBAL_OFFSET_TABLE_$|^__stack_chk_fail$|^__tls_get_addr$|^__gcov_|'
                             r'^__llvm_|^__(a|ub|t|l|m)san_|^__sanitizer_|^__sancov_|^___asan_|'
                             r'^__start___sanc|^__stop___sanc')


def grants(path):
    """{(symbol, layer)} of the allow-list; each line must carry a reason."""
    found, text = {}, pathlib.Path(path).read_text(encoding='utf-8')
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith('#'):
            continue
        fields = line.split(None, 2)
        if len(fields) < 3:
            raise SystemExit(f'{path}:{number}: needs a symbol, layers and a reason')
        for layer in fields[1].split(','):
            found[fields[0], layer] = number
    return found


def symbols(nm, library, *options):
    out = subprocess.run([nm, '-P', *options, library], check=True, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return {line.split()[0].split('@')[0] for line in out.splitlines()
            if len(line.split()) >= 2 and not line.rstrip().endswith(':')}


def check(nm, path, layers):
    granted, used, offences, below = grants(path), set(), [], set()
    for layer, library in layers:
        below |= symbols(nm, library, '--defined-only')
        for symbol in sorted(symbols(nm, library, '--undefined-only') - below):
            keys = {(symbol, layer), (symbol, 'any')} & granted.keys()
            used |= keys
            if not keys and not INSTRUMENTATION.match(symbol):
                offences.append(f'{layer}: uses {symbol}, which {path} does not grant')
    for symbol, layer in sorted(granted.keys() - used):
        print(f'note: {path}:{granted[symbol, layer]}: {symbol} is granted to {layer}, not used')
    return offences


if __name__ == '__main__':
    pairs = [argument.split('=', 1) for argument in sys.argv[3:]]
    tree.finish(check(sys.argv[1], sys.argv[2], pairs), 'symbols')
