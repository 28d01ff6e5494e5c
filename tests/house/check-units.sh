#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check-units.sh system|user SOURCE-DIR BUILD-DIR: systemd finds nothing to complain about in the
# units, and rates the exposure of the service of the machine at EXPOSURE_MAX or better.

set -eu

manager=$1
source=$2
build=$3

# Tenths, as systemd-analyze(1) wants it: 1.5 of 10.
EXPOSURE_MAX=15

if ! command -v systemd-analyze >/dev/null; then
        echo "skipped: no systemd-analyze on this machine"
        exit 77
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/units" "$dir/bin"

# A unit that names a program which is not installed is no error of the unit.
for program in shmbrokerd shmbrokerctl; do
        ln -s /bin/true "$dir/bin/$program"
done
sed "s,=[^ ]*/\(shmbroker[a-z]*\)\b,=$dir/bin/\1," \
        "$build/$manager/shmbrokerd.service" >"$dir/units/shmbrokerd.service"
cp "$source/$manager"/*.socket "$dir/units/"

export SYSTEMD_UNIT_PATH="$dir/units:" XDG_RUNTIME_DIR="$dir"
systemd-analyze verify --man=no --"$manager" "$dir"/units/* 2>"$dir/said" || status=$?
grep shmbroker "$dir/said" && exit 1
[ "${status:-0}" = 0 ] || { cat "$dir/said"; exit 1; }

[ "$manager" = system ] || exit 0
systemd-analyze security --offline=yes --no-pager --threshold="$EXPOSURE_MAX" \
        "$dir/units/shmbrokerd.service" >"$dir/said" || status=$?
grep -v '^✓' "$dir/said"
exit "${status:-0}"
