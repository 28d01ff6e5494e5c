# SPDX-License-Identifier: Apache-2.0
"""run.py MACHINE ROOT LIBRARY-SOURCE... -- TEST-SOURCE... [-- TEST-SOURCE...]...

The pure layers and their unit tests, built for another machine and run, there or under an emulator:
sizes, alignments, widths of integers, byte by byte what shared memory and messages look like. Not
what that machine does to the order of memory accesses: an emulator has the order of its host.
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
        includes = [shim, root]
        objects = target.objects(library + [os.path.join(shim, 'cmocka.c')], includes, scratch)
        failed = []
        for sources in [[os.path.join(HERE, 'test-shim.c')]] + tests:
            name = os.path.basename(sources[0]).replace('.c', '')
            program = os.path.join(scratch, name)
            target.compile(includes, sources + objects, program)
            sys.stdout.flush()
            if target.run(program) != 0:
                failed.append(name)
    print(f'{len(tests) + 1} programs for {target.name}, failed:', ', '.join(failed) or 'none')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
