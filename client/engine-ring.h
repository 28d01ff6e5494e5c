/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Engine of a Ring with one Consumer, piece by piece: for engines that differ in some
 */

#include "client/engine.h"

int shmb__ring_producer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                             ShmbRingResume resume);
int shmb__ring_producer_look(struct shmb_region *r, ShmbRingLook look);
uint32_t shmb__ring_producer_words(const struct shmb_region *r, ShmbSleepWord *ret_words);
void shmb__ring_producer_wake(struct shmb_region *r);
int shmb__ring_producer_switch_peer(struct shmb_region *r, ShmbObjectKind kind, uint32_t index,
                                    const ShmbMapped *mapped);
int shmb__ring_producer_lose(struct shmb_region *r, ShmbObjectKind kind, uint32_t index);
int shmb__ring_producer_push(struct shmb_region *r, const void *items, uint32_t n,
                             ShmbRingLook look);
int shmb__ring_producer_claim(struct shmb_region *r, uint32_t n, ShmbRingLook look,
                              ShmbRingSpan *ret_span);
int shmb__ring_producer_commit(struct shmb_region *r, uint32_t n);
void shmb__ring_producer_abort(struct shmb_region *r);
int shmb__ring_consumer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                             ShmbRingResume resume);
int shmb__ring_consumer_look(struct shmb_region *r, ShmbRingLook look);
uint32_t shmb__ring_consumer_words(const struct shmb_region *r, ShmbSleepWord *ret_words);
void shmb__ring_consumer_wake(struct shmb_region *r);
int shmb__ring_consumer_switch_peer(struct shmb_region *r, ShmbObjectKind kind, uint32_t index,
                                    const ShmbMapped *mapped);
int shmb__ring_consumer_lose(struct shmb_region *r, ShmbObjectKind kind, uint32_t index);
int shmb__ring_consumer_trust(struct shmb_region *r, uint32_t index);
int shmb__ring_consumer_pop(struct shmb_region *r, void *ret_items, uint32_t n);
int shmb__ring_consumer_peek(struct shmb_region *r, uint32_t n, ShmbRingSpan *ret_span);
int shmb__ring_consumer_release(struct shmb_region *r, uint32_t n);
