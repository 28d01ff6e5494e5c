/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Threads on One Mapping
 *
 * Rounds with a region of random shape. Whoever finds nothing to do either tries again or goes to
 * sleep by the steps of memory/sleep.h, but instead of a futex it polls the words that it would
 * wait on. The test fails if a sleeper is not woken, or an item is torn, lost, seen twice or late.
 *
 * Built as the build asks for, and once more with ThreadSanitizer (run-tsan.sh), which knows no
 * fences: that a sleeper is woken rests on them, and is seen by running; that an item is whole
 * rests on acquire and release, which it does know.
 *
 * Usage: stress KIND [SEED [ROUNDS]]
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "memory/atomics.h"
#include "tests/harness/items.h"
#include "tests/stress/stress.h"

enum {
        N_ITEMS = 5000, /* a producer and round */
        N_ROUNDS = 150,
        CAPACITY_LOG_MAX = 9,
        /* Long against any pause that a busy machine makes between two instructions. */
        WAIT_S = 30,
        NUMBER_BITS = 56, /* of the first word of an item; above stands its producer */
};

static const StressKind *const kinds[] = {
        &stress_group,
        &stress_latest,
        &stress_lossy,
        &stress_queue,
        &stress_reliable,
        &stress_ring,
        &stress_stream,
        &stress_unordered,
};

static Stress stress;

void stress_fail(const char *what, int64_t value) {
        fprintf(stderr, "stress: %s: %lld\n", what, (long long)value);
        fprintf(stderr, "stress: %s %llu 1: items of %u bytes, capacity %u, %u to %u\n",
                stress.kind->name, (unsigned long long)stress.seed, stress.shape.item_size,
                stress.shape.capacity, stress.shape.n_producers, stress.shape.n_consumers);
        exit(1);
}

uint64_t stress_random(StressEnd *end, uint64_t n) {
        return item_mix(end->random++) % n;
}

static void fill(uint64_t *words, uint64_t first, size_t n_words) {
        size_t i;

        words[0] = first;
        for (i = 1; i < n_words; i++)
                words[i] = item_mix(first + i);
}

void stress_fill(const StressEnd *end, void *item, uint64_t number) {
        fill(item, (uint64_t)end->index << NUMBER_BITS | number, end->stress->shape.item_size / 8);
}

void stress_see(StressEnd *end, const void *item, size_t n_bytes) {
        const Stress *of = end->stress;
        uint64_t expected[STRESS_ITEM_MAX / 8];
        uint64_t first = *(const uint64_t *)item, producer = first >> NUMBER_BITS;
        uint64_t number = first & ((UINT64_C(1) << NUMBER_BITS) - 1);
        bool is_gapless = of->kind->delivery == STRESS_EACH_TO_ALL ||
                          of->kind->delivery == STRESS_EACH_TO_ONE;

        if (producer >= of->shape.n_producers || number >= of->n_items)
                stress_fail("an item that nobody made", (int64_t)first);
        fill(expected, first, of->shape.item_size / 8);
        if (memcmp(item, expected, n_bytes) != 0)
                stress_fail("a torn item", (int64_t)number);
        if (number < end->next[producer] && of->kind->delivery != STRESS_EACH_TO_ANY)
                stress_fail("an item again, or too late", (int64_t)number);
        if (is_gapless && number != end->next[producer])
                stress_fail("an item before its turn", (int64_t)number);
        end->next[producer] = number + 1;
        end->sum += item_mix(first);
        end->n_moved++;
}

static bool all_ended(const Stress *of) {
        /* acquire: what ended producers published is there; pairs with their increment of it */
        return shmb_load_acquire(&of->n_ended) == of->shape.n_producers;
}

/* Until a word changes. The fault that is looked for is that none does though there is something to
 * do: while a peer gets no processor, there may be nothing for long. */
static void wait_for(StressEnd *end, const ShmbSleepWord *words, uint32_t n_words,
                     int (*look)(StressEnd *end)) {
        time_t until = time(NULL) + WAIT_S;
        uint32_t i;

        for (;;) {
                for (i = 0; i < n_words; i++)
                        /* acquire: S5; pairs with the release of the bell in W4 */
                        if (shmb_load_acquire(words[i].word) != words[i].value)
                                return;
                if (time(NULL) >= until) {
                        if (look(end) != -EAGAIN)
                                stress_fail("a sleeper was not woken by any of its words",
                                            (int64_t)n_words);
                        until = time(NULL) + WAIT_S;
                }
                sched_yield();
        }
}

/* S1 to S6, once. */
static void sleep_once(StressEnd *end, uint32_t (*get_words)(StressEnd *end, ShmbSleepWord *words),
                       int (*look)(StressEnd *end), bool is_consumer) {
        ShmbSleepWord words[SHMB_SLEEP_WORDS_MAX];
        uint32_t n_words;

        n_words = get_words(end, words);
        /* acquire: S1; with this value of news, n_ended is not older */
        words[n_words++] = (ShmbSleepWord){&end->stress->news,
                                           shmb_load_acquire(&end->stress->news)};
        shmb_sleep_enter(&end->sleeper);
        /* full: S3, pairs with W2 of the waker (SHMB_SLEEP_FENCE) */
        shmb_fence_full();
        if (look(end) == -EAGAIN && !(is_consumer && all_ended(end->stress)))
                wait_for(end, words, n_words, look);
        shmb_sleep_leave(&end->sleeper);
}

static void *run_producer(void *data) {
        StressEnd *end = data;
        const StressKind *kind = end->stress->kind;
        uint64_t left;
        int r;

        while ((left = end->stress->n_items - end->n_moved) > 0) {
                r = kind->push(end, left < STRESS_BATCH_MAX ? (uint32_t)left : STRESS_BATCH_MAX);
                if (r >= 0)
                        end->n_moved += (uint64_t)r;
                else if (r != -EAGAIN)
                        stress_fail("a push failed", r);
                else if (kind->producer_words && stress_random(end, 2))
                        sleep_once(end, kind->producer_words, kind->producer_look, false);
                else
                        sched_yield();
        }
        /* in this order: who sees the news knows that we are through */
        atomic_fetch_add(&end->stress->n_ended, 1);
        atomic_fetch_add(&end->stress->news, 1);
        return NULL;
}

static void *run_consumer(void *data) {
        StressEnd *end = data;
        const StressKind *kind = end->stress->kind;
        bool was_last;
        int r;

        for (;;) {
                was_last = all_ended(end->stress);
                r = kind->pop(end);
                if (r >= 0)
                        continue;
                if (r == -ESHUTDOWN)
                        return NULL;
                if (r != -EAGAIN)
                        stress_fail("a pop failed", r);
                if (was_last)
                        return NULL;
                if (kind->consumer_words && stress_random(end, 2))
                        sleep_once(end, kind->consumer_words, kind->consumer_look, true);
                else
                        sched_yield();
        }
}

static bool to_one(void) {
        return stress.kind->delivery == STRESS_EACH_TO_ONE ||
               stress.kind->delivery == STRESS_EACH_TO_ANY;
}

static void judge_consumer(const StressEnd *end, uint64_t n_items, uint64_t sum) {
        uint32_t i;

        if (stress.kind->delivery == STRESS_EACH_TO_ALL && (end->n_moved != n_items ||
                                                            end->sum != sum))
                stress_fail("a consumer saw other items than went in", (int64_t)end->n_moved);
        if (stress.kind->delivery == STRESS_SOME_TO_ALL &&
            end->n_moved + end->n_missed != n_items)
                stress_fail("a consumer missed another number than it said",
                            (int64_t)end->n_missed);
        for (i = 0; i < stress.shape.n_producers; i++)
                if (!to_one() && end->next[i] != stress.n_items)
                        stress_fail("a consumer did not see the last item", (int64_t)end->next[i]);
}

static void judge(void) {
        uint64_t sum = 0, seen = 0, n_seen = 0, n_items = stress.n_items * stress.shape.n_producers;
        uint64_t number;
        uint32_t i;

        for (i = 0; i < stress.shape.n_producers; i++)
                for (number = 0; number < stress.n_items; number++)
                        sum += item_mix((uint64_t)i << NUMBER_BITS | number);
        for (i = 0; i < stress.shape.n_consumers; i++) {
                judge_consumer(&stress.consumers[i], n_items, sum);
                n_seen += stress.consumers[i].n_moved;
                seen += stress.consumers[i].sum;
        }
        if (to_one() && (n_seen != n_items || seen != sum))
                stress_fail("other items came out than went in", (int64_t)n_seen);
}

static void begin(const StressKind *kind, uint64_t seed) {
        static const uint32_t item_sizes[] = {8, 24, 64, 72, STRESS_ITEM_MAX};
        uint64_t mixed = item_mix(seed);
        StressEnd dice = {.random = mixed};
        uint32_t i;

        stress = (Stress){.kind = kind, .seed = seed, .n_items = N_ITEMS};
        stress.shape.item_size = item_sizes[stress_random(&dice, 5)];
        stress.shape.capacity = 1U << stress_random(&dice, CAPACITY_LOG_MAX + 1);
        stress.shape.n_producers = 1 + (uint32_t)stress_random(&dice, kind->n_producers_max);
        stress.shape.n_consumers = 1 + (uint32_t)stress_random(&dice, kind->n_consumers_max);
        stress.region = kind->create(&stress.shape);
        for (i = 0; i < stress.shape.n_producers; i++) {
                stress.producers[i] = (StressEnd){&stress, i, .random = item_mix(mixed + i)};
                kind->produce(&stress.producers[i]);
        }
        for (i = 0; i < stress.shape.n_consumers; i++) {
                stress.consumers[i] = (StressEnd){&stress, i, .random = ~item_mix(mixed + i)};
                kind->consume(&stress.consumers[i]);
        }
}

static void end_all(StressEnd *ends, uint32_t n) {
        while (n-- > 0)
                stress.kind->detach(&ends[n]);
}

static void run_round(const StressKind *kind, uint64_t seed) {
        pthread_t threads[2 * STRESS_ENDS_MAX];
        uint32_t n = 0, i;

        begin(kind, seed);
        for (i = 0; i < stress.shape.n_consumers; i++)
                if (pthread_create(&threads[n++], NULL, run_consumer, &stress.consumers[i]) != 0)
                        stress_fail("no thread", i);
        for (i = 0; i < stress.shape.n_producers; i++)
                if (pthread_create(&threads[n++], NULL, run_producer, &stress.producers[i]) != 0)
                        stress_fail("no thread", i);
        while (n > 0)
                pthread_join(threads[--n], NULL);
        judge();
        end_all(stress.producers, stress.shape.n_producers);
        end_all(stress.consumers, stress.shape.n_consumers);
        kind->destroy(stress.region);
}

int main(int argc, char **argv) {
        uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
        unsigned long n_rounds = argc > 3 ? strtoul(argv[3], NULL, 0) : N_ROUNDS, round;
        const StressKind *kind = NULL;
        uint64_t n_items = 0;
        size_t i;

        for (i = 0; argc > 1 && i < sizeof(kinds) / sizeof(*kinds); i++)
                if (strcmp(kinds[i]->name, argv[1]) == 0)
                        kind = kinds[i];
        if (!kind || argc > 4) {
                fprintf(stderr, "usage: stress KIND [SEED [ROUNDS]]\n");
                return 2;
        }
        for (round = 0; round < n_rounds; round++) {
                run_round(kind, seed + round);
                n_items += stress.n_items * stress.shape.n_producers;
        }
        printf("%s: seed %llu, %lu rounds, %llu items\n", kind->name, (unsigned long long)seed,
               n_rounds, (unsigned long long)n_items);
        return 0;
}
