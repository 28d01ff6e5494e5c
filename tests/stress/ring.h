/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Ring's Producer under Stress, for kinds that differ in their consumers
 */

#include "tests/stress/stress.h"

/* As those of StressKind. */
void ring_produce(StressEnd *end);
uint32_t ring_producer_words(StressEnd *end, ShmbSleepWord *ret_words);
int ring_producer_look(StressEnd *end);

/* ring_push_quietly() - as StressKind.push, but who waits for it is for the caller to wake */
int ring_push_quietly(StressEnd *end, uint32_t n_max);
