/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Engine of a Ring whose Consumers compete, piece by piece: for engines that differ in some
 */

#include "client/engine.h"

int shmb__group_producer_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                              ShmbRingResume resume);
void shmb__group_producer_wake(struct shmb_region *r);
int shmb__group_producer_switch_peer(struct shmb_region *r, ShmbObjectKind kind, uint32_t index,
                                     const ShmbMapped *mapped);
int shmb__group_member_init(struct shmb_region *r, const ShmbMappedSet *mapped,
                            ShmbRingResume resume);
int shmb__group_member_look(struct shmb_region *r, ShmbRingLook look);
uint32_t shmb__group_member_words(const struct shmb_region *r, ShmbSleepWord *ret_words);
void shmb__group_member_wake(struct shmb_region *r);
int shmb__group_member_switch_peer(struct shmb_region *r, ShmbObjectKind kind, uint32_t index,
                                   const ShmbMapped *mapped);
int shmb__group_member_lose(struct shmb_region *r, ShmbObjectKind kind, uint32_t index);
int shmb__group_member_trust(struct shmb_region *r, uint32_t index);
void shmb__group_member_hear(struct shmb_region *r);
void shmb__group_member_leave(struct shmb_region *r);
int shmb__group_member_pop(struct shmb_region *r, void *ret_items, uint32_t n);
int shmb__group_member_peek(struct shmb_region *r, uint32_t n, ShmbRingSpan *ret_span);
int shmb__group_member_release(struct shmb_region *r, uint32_t n);
