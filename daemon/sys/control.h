/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Control Object
 *
 * The one object of a region that the broker writes, and the only one that it maps: clients have it
 * read-only, so nothing in it can be hostile and nobody can truncate it. Each word is stored here
 * and nowhere else; the broker never reads one back to act on it.
 *
 * First the words, then control_announce(): who sleeps on `news` and finds it changed sees them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/layout.h"
#include "protocol/bits.h"

typedef struct Control Control;
typedef struct ControlParty ControlParty;

struct Control {
        ShmbControl *memory;
        size_t size_bytes;
        uint32_t n_parties;
};

#define CONTROL_NULL(_control) {}

/* What peers are told of one lane or seat. */
struct ControlParty {
        uint32_t epoch;
        ShmbOccupancy occupancy;
        uint64_t lease;
        uint32_t n_deaths, n_detaches;
        bool polls;
        uint64_t freed, backed;
};

/**
 * control_init_with_fd() - map it
 * @control:    where
 * @fd:         writable descriptor of the object; borrowed, may be closed behind this call
 * @size_bytes: of the object, as declared
 * @n_parties:  entries: of lanes, then of seats, then of the group
 *
 * Return: 0; -EINVAL where @size_bytes does not hold the entries; -errno of mmap(2), madvise(2).
 */
int control_init_with_fd(Control *control, int fd, uint64_t size_bytes, uint32_t n_parties);

/** control_deinit() - unmap; idempotent */
void control_deinit(Control *control);

/** control_set_state() - state and generation of the region; say it with control_announce() */
void control_set_state(Control *control, ShmbRegionState state, uint64_t generation);

/**
 * control_set_party() - what peers shall know of one lane or seat; say it with control_announce()
 * @control:    control object
 * @index:      of its entry; must be one that the region has
 * @party:      what to say
 */
void control_set_party(Control *control, uint32_t index, const ControlParty *party);

/** control_announce() - change `news` and wake everybody who sleeps on it */
void control_announce(Control *control);
