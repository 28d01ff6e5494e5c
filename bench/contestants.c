/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who is there
 *
 * meson.build defines HAVE_... for each package that it found, and builds that family's file.
 */

#include <string.h>

#include "bench/peers.h"

#ifndef HAVE_BOOST
#define bench_boost NULL
#endif
#ifndef HAVE_CK
#define bench_ck NULL
#endif
#ifndef HAVE_DPDK
#define bench_dpdk NULL
#endif
#ifndef HAVE_MOODYCAMEL
#define bench_moodycamel NULL
#endif
#ifndef HAVE_ZEROMQ
#define bench_zeromq NULL
#endif
#ifndef HAVE_LIBQB
#define bench_libqb NULL
#endif
#ifndef HAVE_ICEORYX
#define bench_iceoryx NULL
#endif

const BenchFamily bench_families[] = {
        {"shmbroker", bench_ours},
        {"shmbroker, round trips", bench_roundtrips},
        {"shmbroker, several producers", bench_shared},
        {"rings from textbooks", bench_peers},
        {"pipes, sockets and message queues", bench_kernel},
        {"boost::lockfree", bench_boost},
        {"ConcurrencyKit", bench_ck},
        {"DPDK rte_ring", bench_dpdk},
        {"moodycamel readerwriterqueue", bench_moodycamel},
        {"ZeroMQ", bench_zeromq},
        {"libqb", bench_libqb},
        {"iceoryx", bench_iceoryx},
        {0},
};

static const BenchContestant *find_in(const BenchContestant *all, const char *name,
                                      uint32_t item_size) {
        for (; all && all->name; all++)
                if (strcmp(all->name, name) == 0 &&
                    (all->item_size == 0 || all->item_size == item_size))
                        return all;
        return NULL;
}

const BenchContestant *bench_find(const char *name, uint32_t item_size) {
        const BenchContestant *found = NULL;
        const BenchFamily *family;

        if (strcmp(name, bench_line_probe.name) == 0)
                return &bench_line_probe;
        for (family = bench_families; family->name && !found; family++)
                found = find_in(family->contestants, name, item_size);
        return found;
}
