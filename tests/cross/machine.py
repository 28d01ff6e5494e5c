# SPDX-License-Identifier: Apache-2.0
"""Compilers for machines that are not this one: which there are, and how to run what they make."""

import os
import shlex
import shutil
import subprocess
import sys

SKIP = 77

FLAGS = ['-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', '-DPACKAGE_VERSION="0"', '-std=gnu17', '-O2', '-g', '-fno-common', '-pthread',
         '-Wall', '-Wextra', '-Werror', '-Wno-unknown-warning-option', '-Wno-unused-parameter',
         '-Wno-missing-field-initializers', '-Wno-maybe-uninitialized',
         # A note about what compilers before gcc 11 did; the asserts of layout.h decide.
         '-Wno-psabi']

# Uses what the tests use: headers of the kernel, threads, a static library of C.
PROBE = '''#include <errno.h>
#include <pthread.h>
#include <string.h>
static void *run(void *data) { return data; }
int main(void) {
        pthread_t thread;
        return pthread_create(&thread, NULL, run, NULL) || pthread_join(thread, NULL);
}
'''

# Compilers by preference, and the programs that run what they make.
I386 = 'i386', [], [[]], 'gcc-multilib'
ARM64 = ('arm64', [['aarch64-linux-gnu-gcc', '-static'],
                   ['clang', '--target=aarch64-linux-gnu', '-static']],
         [['qemu-aarch64'], ['qemu-aarch64-static']],
         'libc6-dev-arm64-cross, libgcc-12-dev-arm64-cross, binutils-aarch64-linux-gnu, clang, qemu-user')


class Machine:
    """The first compiler of `name` whose programs run here; ends with SKIP if there is none."""

    def __init__(self, name, scratch):
        self.name, compilers, runners, packages = {m[0]: m for m in (I386, ARM64)}[name]
        if name == 'i386':
            compilers = [shlex.split(os.environ.get('CC', 'cc')) + ['-m32']]
        probe, path = os.path.join(scratch, 'probe.c'), os.path.join(scratch, 'probe')
        with open(probe, 'w') as file:
            file.write(PROBE)
        for self.compiler in (c for c in compilers if shutil.which(c[0])):
            if self.quietly(self.compiler + FLAGS + [probe, '-o', path]):
                for self.runner in (r for r in runners if not r or shutil.which(r[0])):
                    if self.quietly(self.runner + [path]):
                        return
        print(f'skipped: nothing here builds and runs programs for {name} (Debian: {packages})')
        sys.exit(SKIP)

    @staticmethod
    def quietly(command):
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    def compile(self, includes, sources, path, *more):
        """Warnings are errors; a compiler that refuses ends the test."""
        subprocess.run(self.compiler + FLAGS + [f'-I{folder}' for folder in includes] + sources
                       + [*more, '-o', path], check=True)

    def objects(self, sources, includes, scratch):
        """Each compiled once, for all programs that link them."""
        paths = []
        for number, source in enumerate(sources):
            paths.append(os.path.join(scratch, f'{number}.o'))
            self.compile(includes, [source], paths[-1], '-c')
        return paths

    def run(self, program):
        return subprocess.run(self.runner + [program]).returncode
