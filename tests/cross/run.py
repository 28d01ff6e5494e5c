# SPDX-License-Identifier: Apache-2.0
"""run.py MACHINE ROOT LIBRARY-SOURCE... -- TEST-SOURCE... [-- TEST-SOURCE...]...

Sources and tests of them, built for another machine and run, there or under an emulator: sizes,
alignments, widths of integers, byte by byte what shared memory and messages look like. Not what
that machine does to the order of memory accesses: an emulator has the order of its host.

Tests that need a broker start that of this machine ($SHMBROKERD): a process that an emulator starts
is one of the host again.
"""

import os
import sys
import tempfile

import machine

HERE = os.path.dirname(os.path.abspath(__file__))


def split(arguments):
    groups = [[]]
    for argument in arguments:
        if argument == '--':
            groups.append([])
        else:
            groups[-1].append(argument)
    return groups


def main():
    root = sys.argv[2]
    library, *tests = split(sys.argv[3:])
    shim = os.path.join(HERE, 'shim')
    with tempfile.TemporaryDirectory() as scratch:
        target = machine.Machine(sys.argv[1], scratch)
        print('compiler:', *target.compiler)
        includes = [shim, root, os.path.join(root, 'client', 'include')]
        objects = target.objects(library + [os.path.join(shim, 'cmocka.c')], includes, scratch)
        failed, skipped = [], []
        for sources in tests:
            name = os.path.basename(sources[0]).replace('.c', '')
            program = os.path.join(scratch, name)
            target.compile(includes, sources + objects, program)
            sys.stdout.flush()
            status = target.run(program)
            if status == machine.SKIP:
                skipped.append(name)
            elif status != 0:
                failed.append(name)
    print(f'{len(tests)} programs for {target.name}, failed:', ', '.join(failed) or 'none')
    if failed:
        return 1
    return machine.SKIP if len(skipped) == len(tests) else 0


if __name__ == '__main__':
    sys.exit(main())
