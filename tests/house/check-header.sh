#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check-header.sh LANGUAGE INCLUDE-DIR COMPILER...: <shmbroker.h> stands alone, as the C11 or the C++
# of a stranger with every warning on, and may be included twice.

set -eu

language=$1
dir=$2
shift 2

if ! command -v "$1" >/dev/null; then
        echo "skipped: no compiler '$1' on this machine"
        exit 77
fi

case $language in
c) standard=c11 ;;
c++) standard=c++11 ;;
*) echo "check-header.sh: unknown language '$language'" >&2; exit 2 ;;
esac

printf '#include <shmbroker.h>\n#include <shmbroker.h>\nint main(void) { return 0; }\n' |
        "$@" -x "$language" -std="$standard" -pedantic-errors -Wall -Wextra -Wshadow -Wconversion \
                -Wundef -Werror -I "$dir" -fsyntax-only -
