/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Cases and the Model of the Conformance Suite
 *
 * Which lane an item came from is found by its bytes: it must be the item that the model expects of
 * one of the lanes.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "tests/harness/items.h"
#include "tests/system/conformance.h"

enum {
        FREE = 0,
        RELEASED = 255,
};

#define ONE DELIVERY_ONE

static const Case cases[] = {
        { "ring 1:1, 64 B", "ring", ONE, OVERFLOW_BLOCK, 1, 1, 64, 8 },
        { "ring 1:1, 1 B", "ring", ONE, OVERFLOW_BLOCK, 1, 1, 1, 4 },
        { "ring 1:1, 24 B, one slot", "ring", ONE, OVERFLOW_BLOCK, 1, 1, 24, 1 },
        { "ring 1:1, 4096 B", "ring", ONE, OVERFLOW_BLOCK, 1, 1, 4096, 4 },
        { "ring 1:1, fail", "ring, overflow: fail", ONE, OVERFLOW_FAIL, 1, 1, 40, 8 },
        { "ring 1:1, drop_newest", "ring, overflow: drop_newest", ONE, OVERFLOW_DROP, 1, 1, 72, 8 },
        { "ring 3:1", "ring", ONE, OVERFLOW_BLOCK, 3, 1, 64, 8 },
        { "ring 3:1, memfd", "ring, backing: memfd", ONE, OVERFLOW_BLOCK, 3, 1, 200, 4 },
        { "ring 2:1, drop_newest", "ring, overflow: drop_newest", ONE, OVERFLOW_DROP, 2, 1, 16, 2 },
        { "ring 1:3", "ring", ONE, OVERFLOW_BLOCK, 1, 3, 64, 8 },
        { "ring 3:3, memfd", "ring, backing: memfd", ONE, OVERFLOW_BLOCK, 3, 3, 24, 4 },
        { "ring 2:2, fail", "ring, overflow: fail", ONE, OVERFLOW_FAIL, 2, 2, 200, 8 },
        { "ring 1:2, drop_newest", "ring, overflow: drop_newest", ONE, OVERFLOW_DROP, 1, 2, 64, 1 },
        { "broadcast 1:3, reliable", "broadcast, delivery: reliable", DELIVERY_ALL, OVERFLOW_BLOCK,
          1, 3, 64, 8 },
        { "broadcast 3:2, reliable, memfd", "broadcast, delivery: reliable, backing: memfd",
          DELIVERY_ALL, OVERFLOW_BLOCK, 3, 2, 200, 4 },
        { "broadcast 1:3, lossy", "broadcast", DELIVERY_LOSSY, OVERFLOW_BLOCK, 1, 3, 64, 16 },
        { "broadcast 2:2, lossy, memfd", "broadcast, backing: memfd", DELIVERY_LOSSY,
          OVERFLOW_BLOCK, 2, 2, 20, 8 },
        { "latest 1:3", "latest", DELIVERY_LATEST, OVERFLOW_BLOCK, 1, 3, 256, 3 },
        { "queue 2:3", "queue, segment: 4K", ONE, OVERFLOW_BLOCK, 2, 3, 64, 256 },
        { "queue 1:1", "queue, segment: 4K", ONE, OVERFLOW_BLOCK, 1, 1, 64, 256 },
        { "queue 2:1, memfd", "queue, segment: 4K, backing: memfd", ONE, OVERFLOW_BLOCK, 2, 1, 1024,
          16 },
        { "stream 1:1, 64 B", "stream", ONE, OVERFLOW_BLOCK, 1, 1, 64, 4096 },
        { "stream 1:1, 2 KiB", "stream", ONE, OVERFLOW_BLOCK, 1, 1, 2040, 4096 },
        { "stream 3:1, memfd", "stream, backing: memfd", ONE, OVERFLOW_BLOCK, 3, 1, 500, 4096 },
        { "stream 2:1, fail", "stream, overflow: fail", ONE, OVERFLOW_FAIL, 2, 1, 1000, 4096 },
        { "stream 1:1, drop_newest", "stream, overflow: drop_newest", ONE, OVERFLOW_DROP, 1, 1, 800,
          4096 },
};

const Case *case_at(unsigned i) {
        return i < sizeof(cases) / sizeof(*cases) ? &cases[i] : NULL;
}

bool case_is_lazy(const Case *it) {
        return strncmp(it->kind, "queue", 5) == 0;
}

bool case_is_stream(const Case *it) {
        return strncmp(it->kind, "stream", 6) == 0;
}

/* A message shorter than a word would not say which it is. */
uint32_t case_length(const Case *it, uint64_t number) {
        if (!case_is_stream(it))
                return it->item_size;
        return 8 + (uint32_t)(item_mix(number) % (it->item_size - 7));
}

const char *case_region(const Case *it, unsigned wait) {
        static char name[32];

        snprintf(name, sizeof(name), "c%u-%u", (unsigned)(it - cases), wait);
        return name;
}

static void add_case(char **at, const char *end, const Case *it, unsigned wait) {
        bool latest = it->delivery == DELIVERY_LATEST;

        *at += snprintf(*at, (size_t)(end - *at),
                        "  - {name: $/%s, kind: %s, %s: %u%s, ", case_region(it, wait), it->kind,
                        case_is_stream(it) ? "max_message" : "item: {size", it->item_size,
                        case_is_stream(it) ? "" : "}");
        if (case_is_lazy(it))
                *at += snprintf(*at, (size_t)(end - *at), "max_bytes: %u, ",
                                it->capacity * it->item_size);
        else
                *at += snprintf(*at, (size_t)(end - *at), "%s: %u, ", latest ? "slots" : "capacity",
                                it->capacity);
        if (!latest)
                *at += snprintf(*at, (size_t)(end - *at), "producers: %u, ", it->n_producers);
        *at += snprintf(*at, (size_t)(end - *at),
                        "consumers: %u, access: {produce: [any], consume: [any], "
                        "observe: [any]}}\n",
                        it->n_consumers);
}

const char *cases_yaml(unsigned n_waits) {
        static char yaml[64 << 10];
        char *at = yaml, *end = yaml + sizeof(yaml);
        unsigned i, wait;

        at += snprintf(at, sizeof(yaml), "version: 1\nregions:\n");
        for (i = 0; case_at(i); i++)
                for (wait = 0; wait < n_waits; wait++)
                        add_case(&at, end, case_at(i), wait);
        assert_true(at < end - 1);
        return yaml;
}

void item_fill(uint8_t *bytes, uint32_t size, uint32_t lane, uint64_t number) {
        uint64_t word = 0;
        uint32_t i;

        for (i = 0; i < size; i++) {
                if (i % 8 == 0)
                        word = item_mix((number << 8) + lane + i * UINT64_C(0x100000001));
                bytes[i] = (uint8_t)(word >> (8 * (i % 8)));
        }
}

void model_init(Model *model, const Case *it) {
        memset(model, 0, sizeof(*model));
        model->it = it;
}

/* The first item of a lane that somebody still needs. */
static uint64_t lane_low(const Model *model, uint32_t lane) {
        const ModelLane *it = &model->lanes[lane];
        uint64_t low = it->tail;
        uint32_t i;

        if (model->it->delivery == DELIVERY_ONE) {
                for (low = 0; low < it->tail && it->taken[low] == RELEASED; low++)
                        ;
                return low;
        }
        for (i = 0; i < model->it->n_consumers; i++)
                if (model->seats[i].here && model->seats[i].next[lane] < low)
                        low = model->seats[i].next[lane];
        return low;
}

/* A header of 8 bytes before each message, and both at multiples of 8. */
static uint32_t frame_size(const Model *model, uint64_t number) {
        return 8 + (case_length(model->it, number) + 7) / 8 * 8;
}

static uint64_t stream_room(const Model *model, uint32_t lane) {
        uint64_t i, n_bytes = 0, tail = model->lanes[lane].tail;

        for (i = lane_low(model, lane); i <= tail; i++)
                n_bytes += frame_size(model, i);
        return n_bytes <= model->it->capacity;
}

uint64_t model_room(const Model *model, uint32_t lane) {
        if (model->it->delivery == DELIVERY_LOSSY || model->it->delivery == DELIVERY_LATEST)
                return UINT64_MAX;
        if (case_is_stream(model->it))
                return stream_room(model, lane);
        return model->it->capacity - (model->lanes[lane].tail - lane_low(model, lane));
}

/* The first item of a lane in this state; the tail if there is none. */
static uint64_t lane_first(const Model *model, uint32_t lane, uint8_t state) {
        const ModelLane *it = &model->lanes[lane];
        uint64_t i;

        for (i = 0; i < it->tail && it->taken[i] != state; i++)
                ;
        return i;
}

/*
 * The item that a consumer would be shown next of one lane; the tail if there is none. What is left
 * of a span comes before anything else.
 */
static uint64_t seat_next(const Model *model, uint32_t seat, uint32_t lane) {
        uint8_t mine = (uint8_t)(seat + 1);
        uint32_t i;

        if (model->it->delivery != DELIVERY_ONE)
                return model->seats[seat].next[lane];
        for (i = 0; i < model->it->n_producers; i++)
                if (lane_first(model, i, mine) < model->lanes[i].tail)
                        return i == lane ? lane_first(model, lane, mine) : model->lanes[lane].tail;
        return lane_first(model, lane, FREE);
}

bool model_any(const Model *model, uint32_t seat) {
        uint32_t lane;

        for (lane = 0; lane < model->it->n_producers; lane++)
                if (seat_next(model, seat, lane) < model->lanes[lane].tail)
                        return true;
        return false;
}

uint64_t model_n_published(const Model *model) {
        uint64_t n = 0;
        uint32_t lane;

        for (lane = 0; lane < model->it->n_producers; lane++)
                n += model->lanes[lane].tail;
        return n;
}

void model_claimed(Model *model, uint32_t lane, uint64_t n) {
        ModelLane *it = &model->lanes[lane];

        if (it->tail + n > it->claimed)
                it->claimed = it->tail + n;
}

void model_published(Model *model, uint32_t lane, uint64_t n) {
        model_claimed(model, lane, n);
        model->lanes[lane].tail += n;
        assert_true(model->lanes[lane].tail < LANE_ITEMS_MAX);
}

void model_dropped(Model *model, uint64_t n) {
        model->n_dropped += n;
}

static bool is_item(const Model *model, const uint8_t *bytes, uint32_t lane, uint64_t number) {
        static uint8_t expected[ITEM_MAX];

        item_fill(expected, case_length(model->it, number), lane, number);
        return memcmp(bytes, expected, case_length(model->it, number)) == 0;
}

/* Where the library may go on in a lane: exactly there, but that a slow one is put forward. */
static bool may_go_on_at(const Model *model, uint32_t seat, uint32_t lane, uint64_t number) {
        uint64_t next = seat_next(model, seat, lane);
        const ModelLane *it = &model->lanes[lane];

        switch (model->it->delivery) {
        case DELIVERY_ONE:
        case DELIVERY_ALL:
                return number == next;
        case DELIVERY_LOSSY:
                /* Nobody is put forward who need not be, and nobody to what is overwritten. */
                if (next + model->it->capacity >= it->claimed)
                        return number == next;
                return number > next && number + model->it->capacity >= it->claimed;
        case DELIVERY_LATEST:
                return number == it->tail - 1;
        }
        return false;
}

static bool find(const Model *model, uint32_t seat, const uint8_t *bytes, uint32_t *ret_lane,
                 uint64_t *ret_number) {
        uint64_t number;
        uint32_t lane;

        for (lane = 0; lane < model->it->n_producers; lane++) {
                for (number = seat_next(model, seat, lane); number < model->lanes[lane].tail;
                     number++) {
                        if (!may_go_on_at(model, seat, lane, number) ||
                            !is_item(model, bytes, lane, number))
                                continue;
                        *ret_lane = lane;
                        *ret_number = number;
                        return true;
                }
        }
        return false;
}

/* What was shown instead, for who reads the failure. */
static void fail_shown(const Model *model, uint32_t seat, const uint8_t *bytes) {
        uint64_t number;
        uint32_t lane;

        for (lane = 0; lane < model->it->n_producers; lane++) {
                print_message("lane %u: tail %llu, next for it %llu\n", lane,
                              (unsigned long long)model->lanes[lane].tail,
                              (unsigned long long)seat_next(model, seat, lane));
                for (number = 0; number < model->lanes[lane].tail; number++)
                        if (is_item(model, bytes, lane, number))
                                print_message("lane %u: it is item %llu\n", lane,
                                              (unsigned long long)number);
        }
        fail_msg("%s, step %u: consumer %u was shown what it must not see now", model->it->label,
                 model->where, seat);
}

void model_peeked(Model *model, uint32_t seat, const uint8_t *bytes, uint32_t stride, uint32_t n) {
        ModelSeat *it = &model->seats[seat];
        uint64_t number = 0;
        uint32_t lane = 0, i;

        if (!find(model, seat, bytes, &lane, &number))
                fail_shown(model, seat, bytes);
        assert_true(number + n <= model->lanes[lane].tail);
        if (case_is_stream(model->it))
                assert_int_equal(stride, case_length(model->it, number));
        for (i = 1; i < n; i++)
                if (!is_item(model, bytes + (size_t)i * stride, lane, number + i))
                        fail_msg("%s, step %u: item %u of a span is another one", model->it->label,
                                 model->where, i);
        if (model->it->delivery != DELIVERY_ONE) {
                it->n_missed += number - it->next[lane];
                it->next[lane] = number;
        }
        for (i = 0; i < n && model->it->delivery == DELIVERY_ONE; i++)
                model->lanes[lane].taken[number + i] = (uint8_t)(seat + 1);
        it->lane = lane;
        it->first = number;
        it->n_shown = n;
}

void model_released(Model *model, uint32_t seat, uint32_t n) {
        ModelSeat *it = &model->seats[seat];
        uint32_t i;

        assert_true(n <= it->n_shown);
        for (i = 0; i < n; i++)
                model->lanes[it->lane].taken[it->first + i] = RELEASED;
        /* Who is alone holds the rest no longer, and may be shown another lane first. */
        for (; i < it->n_shown && model->it->n_consumers == 1; i++)
                model->lanes[it->lane].taken[it->first + i] = FREE;
        it->next[it->lane] = it->first + n;
        it->n_shown = 0;
}

void model_missed(Model *model, uint32_t seat, uint64_t n_said) {
        ModelSeat *it = &model->seats[seat];

        it->n_said += n_said;
        assert_int_equal(it->n_said, it->n_missed);
}

void model_joined(Model *model, uint32_t seat) {
        ModelSeat *it = &model->seats[seat];
        uint32_t lane;

        it->here = true;
        for (lane = 0; lane < model->it->n_producers; lane++) {
                it->next[lane] = model->lanes[lane].tail;
                /* The value that there is, is news to who comes. */
                if (model->it->delivery == DELIVERY_LATEST && it->next[lane] > 0)
                        it->next[lane]--;
        }
}

void model_left(Model *model, uint32_t seat) {
        uint8_t mine = (uint8_t)(seat + 1);
        uint32_t lane;
        uint64_t i;

        /* What it held goes to somebody else. */
        for (lane = 0; lane < model->it->n_producers; lane++)
                for (i = 0; i < model->lanes[lane].tail; i++)
                        if (model->lanes[lane].taken[i] == mine)
                                model->lanes[lane].taken[i] = FREE;
        memset(&model->seats[seat], 0, sizeof(model->seats[seat]));
}
