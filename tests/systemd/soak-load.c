/* SPDX-License-Identifier: Apache-2.0 */

/*
 * soak-load regions: print what the broker has to declare.
 * soak-load SOCKET FILE: be the load of a soak (tests/harness/soak.h) on a broker that somebody
 * else runs and ends, until there is a FILE; then see that nothing was lost, and say what was done.
 *
 * What ends the broker is a service manager, which this program knows nothing of.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/harness/soak.h"

static Broker broker = { .unique = "soak" };
static const char *end_file;
static Soak soak;

static int teardown(void **state) {
        soak_deinit(&soak);
        return 0;
}

static void test_nobody_notices(void **state) {
        soak_begin(&soak, &broker);
        puts("under way");
        fflush(stdout);
        while (access(end_file, F_OK) != 0)
                broker_pause();
        soak_end(&soak);
        printf("%llu items %llu visits longest %llu ms\n", (unsigned long long)soak.n_items,
               (unsigned long long)soak.n_visits,
               (unsigned long long)soak.longest_visit_ns / 1000000);
}

int main(int argc, char **argv) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_nobody_notices, teardown),
        };

        if (argc == 2 && strcmp(argv[1], "regions") == 0) {
                fputs("regions:\n" SOAK_REGIONS("soak", "memfd"), stdout);
                return 0;
        }
        if (argc != 3)
                return 2;
        snprintf(broker.socket, sizeof(broker.socket), "%s", argv[1]);
        end_file = argv[2];
        return cmocka_run_group_tests_name("soak", tests, NULL, NULL);
}
