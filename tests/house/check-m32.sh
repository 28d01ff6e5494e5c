#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check-m32.sh ROOT COMPILER -- FILE...: the pure layers mean the same where a pointer and a size_t
# have 32 bits: they compile there, so each static_assert about an offset holds there too.

set -eu

root=$1
shift
compiler=
while [ "$1" != -- ]; do
        compiler="$compiler $1"
        shift
done
shift

# shellcheck disable=SC2086 # the compiler is a command with arguments
if ! echo '#include <stdint.h>
#include <string.h>
#include <gnu/stubs.h>
int main(void) { return 0; }' | $compiler -m32 -x c -fsyntax-only - 2>/dev/null; then
        echo "skipped: '$compiler' has no headers for -m32 (Debian: gcc-multilib)"
        exit 77
fi

for file in "$@"; do
        # shellcheck disable=SC2086
        $compiler -m32 -D_GNU_SOURCE -DPACKAGE_VERSION='"0"' -std=gnu17 -Wall -Wextra -Werror \
                -Wno-unknown-warning-option \
                -Wno-unused-parameter -Wno-missing-field-initializers -Wno-maybe-uninitialized \
                -I "$root" -fsyntax-only "$file"
done
echo "$# files compile for 32 bits"
