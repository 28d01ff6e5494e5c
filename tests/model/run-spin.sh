#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run-spin.sh pass|deadlock|violation MODEL COMPILER... [-- -DNAME...]: search all states of a model,
# print how many there were, and hold what is found against what must be found. A variant that must
# fail shows that the search can see what the other one is free of.

set -eu

expected=$1
model=$(realpath "$2")
shift 2
compiler=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
        compiler="$compiler $1"
        shift
done
[ $# -eq 0 ] || shift

if ! command -v spin >/dev/null; then
        echo "skipped: no spin (Debian: spin)"
        exit 77
fi

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
spin -a "$@" "$model"
# What fails, fails early: there the compiler takes longer than the search.
optimize=-O0
[ "$expected" != pass ] || optimize=-O2
# shellcheck disable=SC2086 # the compiler is a command with arguments
$compiler $optimize -w -DSAFETY -DCOLLAPSE -DMEMLIM=2048 -o pan pan.c
./pan -m1000000 >log 2>&1 || true
grep -E '^pan|State-vector|states, stored' log
echo "$(basename "$model") $*: $(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' log) states," \
     "$(sed -n 's/.*\(errors: [0-9]*\)$/\1/p' log)"

if grep -qE 'max search depth too small|memory limit|out of memory|Search not completed' log &&
   [ "$expected" = pass ]; then
        echo "the search was not complete"
        exit 1
fi
case $expected in
pass)
        grep -q 'errors: 0$' log
        ;;
deadlock)
        grep -q 'errors: 1$' log
        grep -q '^pan:1: invalid end state' log
        ;;
violation)
        grep -q 'errors: 1$' log
        grep -q '^pan:1: assertion violated' log
        ;;
*)
        echo "what must be found: pass, deadlock or violation"
        exit 1
        ;;
esac
