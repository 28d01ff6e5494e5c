/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The programs of tools/demo: a sensor that publishes samples, an accountant that books each of
 * them, and an auditor that knows what the books must say.
 *
 *     demo produce RING [GATE] N      publish samples 0 .. N-1, filled in place; from GATE on only
 *                                     when standard input has ended
 *     demo consume RING LEDGER N      account each sample in the ledger, until N are booked
 *     demo watch LEDGER STOP N        draw progress (on a terminal) until STOP of N are booked
 *     demo audit RING LEDGER N        say whether N samples were booked in order, once each
 *
 * The accountant may be killed at any instruction. It takes a sample by peek, books it, and only
 * then releases it, so a death in between has the sample delivered again: the successor finds it
 * booked already, counts it, and books nothing. For that the books must be right at every
 * instruction too. The ledger is a raw region with two entries; the one that is not current is
 * written, and one store of one word makes it current. (A store of a killed process is in memory
 * when it has been executed, so the order of stores is all that counts.)
 *
 * This is a client like any other: it knows <shmbroker.h> and nothing else of the broker.
 */

#include <errno.h>
#include <inttypes.h>
#include <shmbroker.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SAMPLE_TYPE "imu_sample/3"
#define SECOND_NS INT64_C(1000000000)

/* Nobody waits longer than this for a sample, room, or progress: a demo must end. */
#define PATIENCE_NS (60 * SECOND_NS)
/* The bar moves 25 times a second: smooth to the eye, and nothing to the cores. */
#define FRAME_NS (SECOND_NS / 25)

/* One item of the ring. */
struct sample {
        uint64_t seq;
        uint64_t time_ns;
        float accel[3]; /* m/s^2 */
        float gyro[3];  /* rad/s */
        float celsius;
        uint32_t status[3];
        uint64_t checksum; /* of all that stands before it */
};

_Static_assert(sizeof(struct sample) == 64, "the declaration says item: {size: 64}");

/* What is booked: samples 0 .. n_booked-1, whose checksums in order make the digest. */
struct entry {
        uint64_t n_booked;
        uint64_t digest;
        uint64_t n_redelivered;
};

struct ledger {
        _Atomic uint64_t current; /* which entry counts */
        uint64_t started_ns;      /* CLOCK_MONOTONIC at the first sample */
        uint64_t finished_ns;     /* and at the last */
        struct entry entries[2];
};

static uint64_t now_ns(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

static uint64_t mix(uint64_t hash, uint64_t word) {
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        return hash ^ hash >> 32;
}

static uint64_t checksum(const struct sample *sample) {
        uint64_t words[sizeof(*sample) / sizeof(uint64_t)], hash = 0;

        memcpy(words, sample, sizeof(words));
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) - 1; i++)
                hash = mix(hash, words[i]);
        return hash;
}

/* Sample @seq of a sensor at 8 kHz; the same each time, so that the auditor can make it again. */
static void sample_fill(struct sample *sample, uint64_t seq) {
        *sample = (struct sample){ .seq = seq, .time_ns = seq * 125000, .celsius = 36.5f };
        for (uint64_t axis = 0; axis < 3; axis++) {
                sample->accel[axis] = (float)(seq * (axis + 3) % 1963) * 0.01f;
                sample->gyro[axis] = (float)(seq * (axis + 5) % 628) * 0.01f;
        }
        sample->status[0] = (uint32_t)(seq >> 3);
        sample->checksum = checksum(sample);
}

static int fail(const char *what, int r) {
        fprintf(stderr, "demo: %s: %s\n", what, strerror(-r));
        return EXIT_FAILURE;
}

static int fail_attach(struct shmb *broker, const char *name, int r) {
        fprintf(stderr, "demo: %s: %s\n", name, *shmb_error(broker) ? shmb_error(broker)
                                                                    : strerror(-r));
        return EXIT_FAILURE;
}

static int attach_ring(struct shmb *broker, const char *name, enum shmb_role role,
                       struct shmb_region **ret) {
        struct shmb_attach want = SHMB_ATTACH_INIT;

        want.kind = SHMB_RING;
        want.item_size = sizeof(struct sample);
        want.item_align = _Alignof(struct sample);
        want.type = SAMPLE_TYPE;
        want.timeout_ns = PATIENCE_NS;
        return shmb_attach(broker, name, role, &want, ret);
}

/* The ledger; that it is large enough is for the broker to check. */
static int attach_ledger(struct shmb *broker, const char *name, enum shmb_role role,
                         struct shmb_region **ret, struct ledger **ret_ledger) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        int r;

        want.kind = SHMB_RAW;
        r = shmb_attach(broker, name, role, &want, ret);
        if (r < 0)
                return r;
        if (shmb_size(*ret) < sizeof(struct ledger)) {
                *ret = shmb_detach(*ret);
                return -EMSGSIZE;
        }
        *ret_ledger = shmb_data(*ret);
        return 0;
}

/* Whoever starts us decides when it ends. */
static void await_end_of_input(void) {
        char byte;
        ssize_t r;

        do
                r = read(STDIN_FILENO, &byte, sizeof(byte));
        while (r > 0 || (r < 0 && errno == EINTR));
}

static int produce(struct shmb *broker, const char *name, uint64_t n_gate, uint64_t n) {
        struct shmb_region *ring;
        int r;

        r = attach_ring(broker, name, SHMB_PRODUCE, &ring);
        if (r < 0)
                return fail_attach(broker, name, r);

        for (uint64_t seq = 0; seq < n; seq++) {
                void *slot;

                if (seq == n_gate)
                        await_end_of_input();
                /* -EOWNERDEAD: a consumer died. It is said once, and its successor is awaited. */
                do
                        r = shmb_claim(ring, &slot, PATIENCE_NS);
                while (r == -EOWNERDEAD);
                if (r < 0)
                        break;
                sample_fill(slot, seq);
                r = shmb_commit(ring);
                if (r < 0)
                        break;
        }
        shmb_detach(ring);
        return r < 0 ? fail(name, r) : EXIT_SUCCESS;
}

/* Make the books say what @entry says, at one instruction. */
static void book(struct ledger *ledger, const struct entry *entry) {
        /* relaxed: only the one accountant writes it */
        uint64_t current = atomic_load_explicit(&ledger->current, memory_order_relaxed) & 1;

        ledger->entries[!current] = *entry;
        /* release: the entry is whole before it counts; pairs with acquire in books() */
        atomic_store_explicit(&ledger->current, !current, memory_order_release);
}

static struct entry books(struct ledger *ledger) {
        /* acquire: the entry is as whole as it was when it was made current; pairs with book() */
        uint64_t current = atomic_load_explicit(&ledger->current, memory_order_acquire) & 1;

        return ledger->entries[current];
}

/* Book one sample. Return: whether it was whole, and the one that was due. */
static bool account(struct ledger *ledger, struct entry *entry, const struct sample *sample) {
        if (sample->checksum != checksum(sample)) {
                fprintf(stderr, "demo: sample %" PRIu64 " is damaged\n", sample->seq);
                return false;
        }

        if (sample->seq == entry->n_booked) {
                entry->digest = mix(entry->digest, sample->checksum);
                entry->n_booked++;
        } else if (sample->seq + 1 == entry->n_booked) {
                /* Booked by one who died before it could let go. */
                entry->n_redelivered++;
        } else {
                fprintf(stderr, "demo: sample %" PRIu64 " came instead of %" PRIu64 "\n",
                        sample->seq, entry->n_booked);
                return false;
        }
        book(ledger, entry);
        return true;
}

static int consume_all(struct shmb_region *ring, const char *name, struct ledger *ledger,
                       uint64_t n) {
        struct entry entry = books(ledger);
        uint64_t n_before = entry.n_booked, n_redelivered = entry.n_redelivered;
        uint64_t started_ns = now_ns();

        if (ledger->started_ns == 0)
                ledger->started_ns = started_ns;

        while (entry.n_booked < n) {
                const void *item;
                int r;

                do
                        r = shmb_peek(ring, &item, PATIENCE_NS);
                while (r == -EOWNERDEAD);
                if (r < 0)
                        return fail(name, r);
                if (!account(ledger, &entry, item))
                        return EXIT_FAILURE;
                r = shmb_release(ring);
                if (r < 0)
                        return fail(name, r);
        }

        ledger->finished_ns = now_ns();
        fprintf(stderr, "consumer: booked %" PRIu64 " samples after the %" PRIu64 " that it found, "
                "%.1f M/s; %" PRIu64 " were booked already\n", n - n_before, n_before,
                (double)(n - n_before) * 1e3 / (double)(ledger->finished_ns - started_ns + 1),
                entry.n_redelivered - n_redelivered);
        return EXIT_SUCCESS;
}

static int consume(struct shmb *broker, const char *name, const char *name_ledger, uint64_t n) {
        struct shmb_region *ring, *books_region;
        struct ledger *ledger;
        int r;

        r = attach_ledger(broker, name_ledger, SHMB_WRITE, &books_region, &ledger);
        if (r < 0)
                return fail_attach(broker, name_ledger, r);

        r = attach_ring(broker, name, SHMB_CONSUME, &ring);
        if (r < 0)
                r = fail_attach(broker, name, r);
        else
                r = consume_all(ring, name, ledger, n);

        shmb_detach(ring);
        shmb_detach(books_region);
        return r;
}

static void draw(uint64_t n_booked, uint64_t n) {
        static const char full[] = "########################################";
        int width = (int)sizeof(full) - 1, part = n ? (int)(n_booked * (uint64_t)width / n) : width;

        fprintf(stderr, "\r[%.*s%*s] %3d %%  %" PRIu64 " items ", part, full, width - part, "",
                n ? (int)(n_booked * 100 / n) : 100, n_booked);
        fflush(stderr);
}

static int watch(struct shmb *broker, const char *name, uint64_t n_stop, uint64_t n) {
        const struct timespec pause = { .tv_nsec = 1000000 };
        uint64_t n_last = 0, last_ns = now_ns(), drawn_ns = 0;
        struct shmb_region *region;
        struct ledger *ledger;
        bool bar = isatty(STDERR_FILENO);
        int r;

        r = attach_ledger(broker, name, SHMB_READ, &region, &ledger);
        if (r < 0)
                return fail_attach(broker, name, r);

        for (;;) {
                uint64_t n_booked = books(ledger).n_booked;

                if (bar && (now_ns() - drawn_ns > FRAME_NS || n_booked >= n_stop)) {
                        drawn_ns = now_ns();
                        draw(n_booked, n);
                }
                if (n_booked >= n_stop)
                        break;
                if (n_booked != n_last) {
                        n_last = n_booked;
                        last_ns = now_ns();
                } else if (now_ns() - last_ns > PATIENCE_NS) {
                        r = -ETIMEDOUT;
                        break;
                }
                nanosleep(&pause, NULL);
        }
        if (bar)
                fputc('\n', stderr);
        shmb_detach(region);
        return r < 0 ? fail("no progress", r) : EXIT_SUCCESS;
}

/* What the ring itself counted: samples that a consumer held when it was killed. */
static int ask_redelivered(struct shmb *broker, const char *name, uint64_t *ret_n) {
        struct shmb_stats stats = { .size = sizeof(stats) };
        struct shmb_region *ring;
        int r;

        r = attach_ring(broker, name, SHMB_OBSERVE, &ring);
        if (r < 0)
                return r;
        r = shmb_get_stats(ring, &stats);
        if (r == 0)
                *ret_n = stats.n_redelivered;
        shmb_detach(ring);
        return r;
}

static int audit_books(const struct ledger *ledger, const struct entry *entry,
                       uint64_t n_redelivered, uint64_t n) {
        double seconds = (double)(ledger->finished_ns - ledger->started_ns + 1) / SECOND_NS;
        uint64_t digest = 0;

        for (uint64_t seq = 0; seq < n; seq++) {
                struct sample sample;

                sample_fill(&sample, seq);
                digest = mix(digest, sample.checksum);
        }

        printf("%" PRIu64 " of %" PRIu64 " items accounted for in order, checksums %s\n",
               entry->n_booked, n, entry->digest == digest ? "right" : "WRONG");
        printf("%" PRIu64 " redelivered after a kill, of which %" PRIu64 " were booked before\n",
               n_redelivered, entry->n_redelivered);
        printf("%.2f s from the first to the last, one kill included: %.2f M items/s\n", seconds,
               (double)entry->n_booked / 1e6 / seconds);
        return entry->n_booked == n && entry->digest == digest && n_redelivered <= 1 &&
                               entry->n_redelivered <= n_redelivered
                       ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int audit(struct shmb *broker, const char *name, const char *name_ledger, uint64_t n) {
        struct shmb_region *region;
        uint64_t n_redelivered = 0;
        struct ledger *ledger;
        struct entry entry;
        int r;

        r = ask_redelivered(broker, name, &n_redelivered);
        if (r < 0)
                return fail_attach(broker, name, r);
        r = attach_ledger(broker, name_ledger, SHMB_READ, &region, &ledger);
        if (r < 0)
                return fail_attach(broker, name_ledger, r);

        entry = books(ledger);
        r = audit_books(ledger, &entry, n_redelivered, n);
        shmb_detach(region);
        return r;
}

static bool parse_count(const char *text, uint64_t *ret_n) {
        char *end;

        errno = 0;
        *ret_n = strtoull(text, &end, 10);
        return errno == 0 && end != text && *end == '\0' && *text != '-';
}

static int run(struct shmb *broker, int argc, char **argv, uint64_t n) {
        uint64_t n_gate, n_stop;

        if (argc == 4 && strcmp(argv[1], "produce") == 0)
                return produce(broker, argv[2], n, n);
        if (argc == 5 && strcmp(argv[1], "produce") == 0 && parse_count(argv[3], &n_gate))
                return produce(broker, argv[2], n_gate, n);
        if (argc == 5 && strcmp(argv[1], "consume") == 0)
                return consume(broker, argv[2], argv[3], n);
        if (argc == 5 && strcmp(argv[1], "watch") == 0 && parse_count(argv[3], &n_stop))
                return watch(broker, argv[2], n_stop, n);
        if (argc == 5 && strcmp(argv[1], "audit") == 0)
                return audit(broker, argv[2], argv[3], n);

        fprintf(stderr, "usage: demo produce RING [GATE] N | consume RING LEDGER N | "
                "watch LEDGER STOP N | audit RING LEDGER N\n");
        return 2;
}

int main(int argc, char **argv) {
        struct shmb *broker;
        uint64_t n = 0;
        int r;

        if (argc < 4 || !parse_count(argv[argc - 1], &n))
                return run(NULL, 0, argv, 0);

        r = shmb_connect(NULL, &broker);
        if (r < 0)
                return fail("cannot connect to the broker", r);
        r = run(broker, argc, argv, n);
        shmb_close(broker);
        return r;
}
