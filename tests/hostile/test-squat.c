/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Squatted Names
 *
 * Only `posix_name:` gives a region a name that somebody can guess. Whoever takes it first, with
 * whatever kind of file, keeps the region from being made, and nothing else: his file is neither
 * followed, opened, changed nor removed, and the broker says whose it is.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "protocol/wire.h"
#include "tests/harness/broker.h"
#include "tests/harness/caller.h"
#include "tests/harness/child.h"

static Broker broker;

static const ChildIdentity alice = CHILD_ALICE;

static const char yaml[] = "version: 1\n"
                           "regions:\n"
                           "  - name: $/fixed\n"
                           "    kind: raw\n"
                           "    size: 64K\n"
                           "    posix_name: /$-fixed\n"
                           "    access: {read: [any], write: [any]}\n"
                           "  - {name: $/other, kind: raw, size: 64K, access: {read: [any]}}\n";

static int teardown(void **state) {
        broker_deinit(&broker);
        return 0;
}

typedef struct Squat {
        const char *kind;
        char path[300], victim[300];
} Squat;

static void squat_in_child(void *data) {
        const Squat *squat = data;
        int fd, r = -1;

        if (strcmp(squat->kind, "file") == 0) {
                fd = open(squat->path, O_RDWR | O_CREAT | O_EXCL, 0666);
                r = fd >= 0 && write(fd, "mine", 4) == 4 ? 0 : -1;
        } else if (strcmp(squat->kind, "symlink") == 0) {
                r = symlink(squat->victim, squat->path);
        } else if (strcmp(squat->kind, "dangling symlink") == 0) {
                r = symlink("/dev/shm/absent", squat->path);
        } else if (strcmp(squat->kind, "fifo") == 0) {
                r = mkfifo(squat->path, 0666);
        } else if (strcmp(squat->kind, "directory") == 0) {
                r = mkdir(squat->path, 0777);
        }
        child_equal(r, 0);
        child_say("taken");
}

static void remove_in_child(void *data) {
        const Squat *squat = data;

        child_equal(remove(squat->path), 0);
        child_say("given back");
}

static void run_child(void (*function)(void *), Squat *squat, const char *says) {
        Child child;

        child_spawn(&child, &alice, function, squat);
        child_expect(&child, says);
        child_finish(&child);
}

/* What can be seen from outside of whoever opened, changed or replaced it. */
static void look(const Squat *squat, struct stat *ret_squat, struct stat *ret_victim) {
        assert_int_equal(lstat(squat->path, ret_squat), 0);
        assert_int_equal(lstat(squat->victim, ret_victim), 0);
}

static void assert_untouched(const struct stat *before, const struct stat *after) {
        assert_true(before->st_ino == after->st_ino);
        assert_true(before->st_size == after->st_size);
        assert_int_equal(before->st_mode, after->st_mode);
        assert_int_equal(before->st_uid, after->st_uid);
        assert_int_equal(before->st_nlink, after->st_nlink);
        assert_true(before->st_mtim.tv_sec == after->st_mtim.tv_sec &&
                    before->st_mtim.tv_nsec == after->st_mtim.tv_nsec);
        assert_true(before->st_ctim.tv_sec == after->st_ctim.tv_sec &&
                    before->st_ctim.tv_nsec == after->st_ctim.tv_nsec);
}

static const char *const kinds[] = { "file", "symlink", "dangling symlink", "fifo", "directory" };

static void squat_init(Squat *squat, const char *kind) {
        FILE *file;

        squat->kind = kind;
        snprintf(squat->path, sizeof(squat->path), "/dev/shm/%s-fixed", broker.unique);
        /* What a symlink leads to: a file of root. */
        snprintf(squat->victim, sizeof(squat->victim), "%s/victim", broker.directory);
        file = fopen(squat->victim, "we");
        assert_non_null(file);
        fputs("precious", file);
        fclose(file);
}

/* The regions of a configuration come as a whole, so a name that is taken keeps the broker from
 * starting: it says whose it is instead of serving half of what was declared. */
static void test_squatted_name_is_refused_named_and_left_alone(void **state) {
        struct stat before[2], after[2];
        char owner[32];
        Squat squat;
        size_t i;

        for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
                print_message("%s\n", kinds[i]);
                broker_init(&broker, yaml);
                squat_init(&squat, kinds[i]);
                run_child(squat_in_child, &squat, "taken");
                look(&squat, &before[0], &before[1]);

                broker_spawn(&broker, NULL);
                assert_int_equal(broker_wait(&broker), 1);
                snprintf(owner, sizeof(owner), "%u", 61001U);
                assert_true(broker_said(&broker, broker_name(&broker, "fixed"), owner));
                look(&squat, &after[0], &after[1]);
                assert_untouched(&before[0], &after[0]);
                assert_untouched(&before[1], &after[1]);
                /* and the squatter's is the only name there is */
                assert_int_equal(broker_n_shm(&broker), 1);

                run_child(remove_in_child, &squat, "given back");
                broker_start(&broker);
                /* control and data of two regions */
                assert_int_equal(broker_n_shm(&broker), 4);
                broker_end(&broker);
        }
}

static void test_squatted_name_in_a_reload_changes_nothing(void **state) {
        static const char before[] =
                        "version: 1\n"
                        "regions:\n"
                        "  - {name: $/other, kind: raw, size: 64K, access: {read: [any]}}\n";
        struct stat squatted[2], after[2];
        WireRegion region;
        Caller caller;
        Squat squat;

        broker_begin(&broker, before);
        squat_init(&squat, "file");
        run_child(squat_in_child, &squat, "taken");
        look(&squat, &squatted[0], &squatted[1]);
        broker_configure(&broker, yaml);
        broker_reload(&broker);
        assert_true(broker_said(&broker, broker_name(&broker, "fixed"), "61001"));
        look(&squat, &after[0], &after[1]);
        assert_untouched(&squatted[0], &after[0]);

        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_int_equal(caller_list(&caller, broker_name(&broker, "other"), &region), 0);
        assert_int_equal(region.state, SHMB_REGION_LIVE);
        caller_close(&caller);

        run_child(remove_in_child, &squat, "given back");
        broker_reload(&broker);
        assert_int_equal(caller_begin(&caller, broker.admin), 0);
        assert_int_equal(caller_list(&caller, broker_name(&broker, "fixed"), &region), 0);
        assert_int_equal(region.state, SHMB_REGION_LIVE);
        caller_close(&caller);
        broker_end(&broker);
}

/* Somebody with the right to (root) puts another file in the place of ours: it is not ours. */
static void test_replaced_name_is_not_handed_out_and_not_removed(void **state) {
        CallerLease lease;
        struct stat st;
        Caller caller;
        Squat squat;
        int fd, r;

        broker_begin(&broker, yaml);
        squat_init(&squat, "file");
        assert_int_equal(unlink(squat.path), 0);
        fd = open(squat.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, 65536), 0);
        assert_int_equal(fstat(fd, &st), 0);
        close(fd);

        assert_int_equal(caller_begin(&caller, broker.socket), 0);
        r = caller_attach(&caller, broker_name(&broker, "fixed"), SHMB_ROLE_READ, &lease);
        assert_int_equal(r, SHMB_STATUS_LOST);
        assert_non_null(strstr(caller.reply.error.sentence, broker_name(&broker, "fixed")));
        /* the others are as they were */
        r = caller_attach(&caller, broker_name(&broker, "other"), SHMB_ROLE_READ, &lease);
        assert_int_equal(r, 0);
        caller_lease_close(&lease);
        caller_close(&caller);

        broker_stop(&broker);
        assert_int_equal(broker_n_shm(&broker), 1);
        assert_int_equal(access(squat.path, F_OK), 0);
        unlink(squat.path);
        broker_deinit(&broker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(_name) cmocka_unit_test_teardown(_name, teardown)
                TEST(test_squatted_name_is_refused_named_and_left_alone),
                TEST(test_squatted_name_in_a_reload_changes_nothing),
                TEST(test_replaced_name_is_not_handed_out_and_not_removed),
        };

        broker_need_root();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
