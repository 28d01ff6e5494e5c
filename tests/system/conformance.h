/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Cases and the Model of the Conformance Suite
 *
 * A case is a region to declare. The model is what its items do, in arrays that a reader checks by
 * eye: each lane is a list of items with a state each, each consumer a place in each lane. It fails
 * the test where the library says anything else.
 */

#include <stdbool.h>
#include <stdint.h>

enum {
        PARTIES_MAX = 3,
        ITEM_MAX = 4096,
        /* Items that one lane of a run may ever carry. */
        LANE_ITEMS_MAX = 16384,
};

/* Who gets an item. */
typedef enum Delivery {
        DELIVERY_ONE,   /* one of the consumers, whoever comes first */
        DELIVERY_ALL,   /* each of those who are there; the slowest holds back */
        DELIVERY_LOSSY, /* each of those who are there, unless it is too slow */
        DELIVERY_LATEST, /* each, but only the newest */
} Delivery;

typedef enum Overflow {
        OVERFLOW_BLOCK,
        OVERFLOW_FAIL,
        OVERFLOW_DROP,
} Overflow;

typedef struct Case {
        const char *label;
        const char *kind; /* and what else stands in the declaration */
        Delivery delivery;
        Overflow overflow;
        uint32_t n_producers, n_consumers;
        uint32_t item_size; /* stream: max_message */
        uint32_t capacity;  /* items a lane; stream: bytes */
} Case;

typedef struct ModelLane {
        uint64_t tail;                 /* items published */
        uint64_t claimed;              /* lossy: items that may be half written */
        /* DELIVERY_ONE: by whom, the number of his seat and 1; RELEASED in the end */
        uint8_t taken[LANE_ITEMS_MAX];
} ModelLane;

typedef struct ModelSeat {
        bool here;
        uint64_t next[PARTIES_MAX];   /* in each lane: first item not released */
        uint32_t lane, n_shown;       /* the span that was shown last */
        uint64_t first;               /* its first item */
        uint64_t n_missed, n_said;    /* as the model finds out, and as the library says */
} ModelSeat;

typedef struct Model {
        const Case *it;
        unsigned where; /* the step at which something is wrong */
        ModelLane lanes[PARTIES_MAX];
        ModelSeat seats[PARTIES_MAX];
        uint64_t n_dropped;
} Model;

/* Case @i, or NULL behind the last. */
const Case *case_at(unsigned i);
/* The part of the region's name behind "$/": one region for each way to wait. Static. */
const char *case_region(const Case *it, unsigned wait);
/* The configuration of all cases; static. */
const char *cases_yaml(unsigned n_waits);

/* Whether room may come a moment after it was made: of a queue the broker makes it. */
bool case_is_lazy(const Case *it);

/* Whether items are messages, each of its own length. */
bool case_is_stream(const Case *it);
/* Bytes of item @number of any lane. */
uint32_t case_length(const Case *it, uint64_t number);

/* Item @number of @lane, @size bytes of it. */
void item_fill(uint8_t *bytes, uint32_t size, uint32_t lane, uint64_t number);

void model_init(Model *model, const Case *it);
/* How many more items the lane takes now; of a stream whether it takes the next one. */
uint64_t model_room(const Model *model, uint32_t lane);
/* Whether the consumer finds something. */
bool model_any(const Model *model, uint32_t seat);
uint64_t model_n_published(const Model *model);

void model_claimed(Model *model, uint32_t lane, uint64_t n);
void model_published(Model *model, uint32_t lane, uint64_t n);
void model_dropped(Model *model, uint64_t n);

/* The library showed these items, @stride apart, or one message of @stride bytes: held against what
 * it may show. */
void model_peeked(Model *model, uint32_t seat, const uint8_t *bytes, uint32_t stride, uint32_t n);
void model_released(Model *model, uint32_t seat, uint32_t n);
void model_missed(Model *model, uint32_t seat, uint64_t n_said);

void model_joined(Model *model, uint32_t seat);
void model_left(Model *model, uint32_t seat);
