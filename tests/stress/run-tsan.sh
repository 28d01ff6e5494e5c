#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run-tsan.sh clean|race PROGRAM ARGUMENT...: run a program that was built with ThreadSanitizer,
# which must say nothing, or must report a data race. Its shadow memory has a fixed place: where the
# kernel puts programs into that, they are run without randomized addresses, or not at all.

set -eu

expected=$1
program=$2
shift 2

# Of its own, so that it is not the exit status of anything else.
TSAN_OPTIONS="exitcode=66:halt_on_error=1${TSAN_OPTIONS:+:$TSAN_OPTIONS}"
export TSAN_OPTIONS

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# With no argument it only says how it is used.
starts() {
        status=0
        "$@" >"$log" 2>&1 || status=$?
        [ "$status" = 2 ] && grep -q '^usage: ' "$log"
}

if starts "$program"; then
        without=
elif starts setarch -R "$program"; then
        without='setarch -R'
else
        head -n 3 "$log"
        echo "skipped: ThreadSanitizer does not start here, not even by setarch -R"
        exit 77
fi

status=0
# shellcheck disable=SC2086 # a command with an argument, or nothing
$without "$program" "$@" >"$log" 2>&1 || status=$?
if [ "$expected" = race ]; then
        if [ "$status" = 66 ] && grep -q 'WARNING: ThreadSanitizer: data race' "$log"; then
                echo "the race was found"
                exit 0
        fi
        echo "no race was reported: status $status"
        status=1
fi
cat "$log"
exit "$status"
