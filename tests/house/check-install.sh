#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check-install.sh MESON BUILD-DIR LIBDIR LIST COMPILER...: what `meson install` puts where is LIST
# and nothing else, and a stranger's program builds against it with pkg-config and runs.

set -eu

meson=$1
build=$2
libdir=$3
list=$4
shift 4

dest=$(mktemp -d)
trap 'rm -rf "$dest"' EXIT

"$meson" install -C "$build" --no-rebuild --quiet --destdir "$dest/tree" >"$dest/log" 2>&1 ||
        { cat "$dest/log"; exit 1; }

cd "$dest/tree"
find . \( ! -type d -o -empty \) | sed "s|^\./||; s|^usr/$libdir/|usr/LIBDIR/|" | LC_ALL=C sort \
        >"$dest/have"
sed '/^#/d; /^$/d' "$list" | LC_ALL=C sort >"$dest/want"
if ! command -v scdoc >/dev/null; then
        sed -i '\|^usr/share/man/|d' "$dest/have" "$dest/want"
fi
if ! diff -u "$dest/want" "$dest/have"; then
        echo "the lines with - are missing; those with + are new, and belong into $list"
        exit 1
fi

export PKG_CONFIG_PATH="$dest/tree/usr/$libdir/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$dest/tree"
cat >"$dest/program.c" <<'END'
#include <shmbroker.h>
#include <stdio.h>

int main(void) {
        struct shmb *broker = NULL;

        printf("%s %d\n", shmb_version(), shmb_connect("/nonexistent", &broker) < 0);
        return 0;
}
END
# shellcheck disable=SC2046 # flags are a list of words
"$@" -o "$dest/program" "$dest/program.c" $(pkg-config --cflags --libs shmbroker)
said=$(LD_LIBRARY_PATH="$dest/tree/usr/$libdir" "$dest/program")
want="$(pkg-config --modversion shmbroker) 1"
if [ "$said" != "$want" ]; then
        echo "the program says '$said' instead of '$want'"
        exit 1
fi
readelf -d "$dest/program" | grep -q 'NEEDED.*\[libshmbroker\.so\.0\]'
LD_LIBRARY_PATH="$dest/tree/usr/$libdir" "$dest/tree/usr/bin/shmbrokerctl" --version
"$dest/tree/usr/bin/shmbrokerd" --version
