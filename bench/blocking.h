/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Contestants that sleep by themselves
 *
 * What blocks until an item can be sent or has come needs no loop of ours around it. Their two
 * directions are 0, to the consumer, and 1, back from it; each is
 *
 *   bool send(unsigned direction, const void *item, size_t size)
 *   bool receive(unsigned direction, void *ret_item, size_t size)
 */

#include "bench/peers.h"

/*
 * Defines @_name_produce and @_name_consume, and the same of @_name_trip. Each process first calls
 * @_join(is_producer), where a library wants something in each.
 */
#define BENCH_BLOCKING(_name, _join, _send, _receive)                                   \
        static void _name##_produce(BenchRun *run) {                                    \
                static uint64_t item[BENCH_ITEM_MAX / 8];                               \
                                                                                        \
                _join(true);                                                            \
                for (;; item[0]++)                                                      \
                        if (!_send(0, item, run->item_size))                            \
                                bench_die(#_name ": send");                             \
        }                                                                               \
                                                                                        \
        static inline uint32_t _name##_step(BenchRun *run, uint64_t *sequence) {        \
                static uint64_t item[BENCH_ITEM_MAX / 8];                               \
                                                                                        \
                if (!_receive(0, item, run->item_size))                                 \
                        bench_die(#_name ": receive");                                  \
                run->n_wrong += item[0] != (*sequence)++;                               \
                return 1;                                                               \
        }                                                                               \
                                                                                        \
        static void _name##_consume(BenchRun *run) {                                    \
                uint64_t sequence = 0;                                                  \
                                                                                        \
                _join(false);                                                           \
                BENCH_BLOCKS(run, _name##_step(run, &sequence));                        \
        }                                                                               \
                                                                                        \
        static void _name##_trip_produce(BenchRun *run) {                               \
                static uint64_t item[BENCH_ITEM_MAX / 8];                               \
                                                                                        \
                _join(true);                                                            \
                for (;;)                                                                \
                        if (!_receive(1, item, run->item_size) ||                       \
                            !_send(0, item, run->item_size))                            \
                                bench_die(#_name ": send it back");                     \
        }                                                                               \
                                                                                        \
        static inline uint32_t _name##_trip_step(BenchRun *run, uint64_t *sequence) {   \
                static uint64_t item[BENCH_ITEM_MAX / 8];                               \
                                                                                        \
                item[0] = ++*sequence;                                                  \
                if (!_send(1, item, run->item_size) || !_receive(0, item, run->item_size)) \
                        bench_die(#_name ": there and back");                           \
                run->n_wrong += item[0] != *sequence;                                   \
                return 1;                                                               \
        }                                                                               \
                                                                                        \
        static void _name##_trip_consume(BenchRun *run) {                               \
                uint64_t sequence = 0;                                                  \
                                                                                        \
                _join(false);                                                           \
                BENCH_BLOCKS(run, _name##_trip_step(run, &sequence));                   \
        }

#define BENCH_NO_JOIN(_is_producer) ((void)(_is_producer))

/* Its two entries. */
#define BENCH_BLOCKING_BOTH(_title, _name, _setup, _teardown)                           \
        {_title, 0, _setup, _name##_produce, _name##_consume, _teardown, 0},            \
        {BENCH_TRIP(_title), 0, _setup, _name##_trip_produce, _name##_trip_consume,     \
         _teardown, 0}
