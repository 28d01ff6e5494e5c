/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Wire Specimens
 *
 * The pages of listings are built with the codec itself; their bytes are pinned inside the packet.
 */

#include <stddef.h>
#include <string.h>
#include "tests/unit/wire-specimens.h"

#define UUID(_b)                                                                                   \
        {                                                                                          \
                _b, _b + 1, _b + 2, _b + 3, _b + 4, _b + 5, _b + 6, _b + 7, _b + 8, _b + 9,        \
                        _b + 10, _b + 11, _b + 12, _b + 13, _b + 14, _b + 15                       \
        }

#define GEOMETRY                                                                                   \
        {                                                                                          \
                .kind = 2, .backing = 1, .overflow = 3, .n_lanes = 5, .n_seats = 6,                \
                .item_size = 60, .item_align = 8, .stride = 64, .capacity = 4096,                  \
                .region_size = 77, .segment = 8192, .max_message = 1024, .delivery = 2             \
        }

static const WireMessage specimens[] = {
        { .type = WIRE_HELLO, .id = 1, .hello = { 1, 2, UUID(0x10) } },
        { .type = WIRE_ATTACH,
          .id = 2,
          .attach = { .name = "telemetry/imu",
                      .role = 1,
                      .kind = 2,
                      .item_size = 64,
                      .item_align = 8,
                      .type = "imu_sample/3",
                      .region_size = UINT64_C(0x1122334455667788),
                      .keeps = true } },
        { .type = WIRE_MAPPED, .id = 3, .mapped = { 0x51, 74 } },
        { .type = WIRE_DETACH, .id = 4, .detach = { UINT64_MAX } },
        { .type = WIRE_FETCH, .id = 5, .fetch = { 0x52, 2, 63 } },
        { .type = WIRE_RESUME, .id = 6, .resume = { 0x53, 7, 8, true } },
        { .type = WIRE_LIST, .id = 7, .list = { "a/raw", "" } },
        { .type = WIRE_WHO, .id = 8, .who = { "a/raw", 0x54 } },
        { .type = WIRE_STATUS, .id = 9 },
        { .type = WIRE_RELOAD, .id = 10, .reload = { true } },
        { .type = WIRE_GC, .id = 11, .gc = { true } },
        { .type = WIRE_POLL, .id = 5, .fetch = { 0x52, 3, 62 } },
        { .type = WIRE_SEGMENT, .id = 20, .segment = { 0x56, 63, 2, 0x1234, 0x5678 } },
        { .type = WIRE_KICK, .id = 21, .kick = { 0x57 } },
        { .type = WIRE_CREATE, .id = 22, .create = { "session/a", true, 1, 0x58, 0x59 } },
        { .type = WIRE_REMOVE, .id = 23, .remove = { "session/b" } },
        { .type = WIRE_WATCH, .id = 22, .watch = { "a/raw" } },
        { .type = WIRE_OFFER, .id = 24, .offer = { 0x58 } },
        { .type = WIRE_OK, .id = UINT64_MAX },
        { .type = WIRE_ERROR,
          .id = 12,
          .error = { 9, "every seat is held: see `shmbrokerctl who a/raw`" } },
        { .type = WIRE_WELCOME, .id = 13, .welcome = { 1, 2, UUID(0xa0), "0.1.0", true } },
        { .type = WIRE_ATTACHED,
          .id = 14,
          .attached = { .lease = 0x55,
                        .generation = 9,
                        .tag = UINT64_C(0xfedcba9876543210),
                        .role = 2,
                        .index = 1,
                        .geometry = GEOMETRY,
                        .type = "imu_sample/3",
                        .n_objects = 3,
                        .objects = { { 1, 0, 0, false, 8192 },
                                     { 2, 0, 3, false, 266240 },
                                     { 3, 1, 4, true, 12288 } },
                        .keep = true } },
        { .type = WIRE_RESUMED, .id = 15, .resumed = { WIRE_VERDICT_FENCED, true } },
        { .type = WIRE_LISTING, .id = 16, .listing = { .more = true } },
        { .type = WIRE_HOLDERS, .id = 17, .holders = { .more = true } },
        { .type = WIRE_STATUS_INFO,
          .id = 18,
          .status = { .version = "0.1.0",
                      .config = "/etc/shmbroker/shmbrokerd.yaml",
                      .runtime = "/run/shmbroker",
                      .features = "pidfd=SO_PEERPIDFD",
                      .reload = "done",
                      .pid = 31,
                      .uid = 32,
                      .started_ns = 33,
                      .now_ns = 34,
                      .n_regions = 35,
                      .n_live = 36,
                      .n_leases = 37,
                      .n_connections = 38,
                      .size_bytes = 39,
                      .size_bytes_max = 40,
                      .n_granted = 41,
                      .n_refused = 42,
                      .n_reaped = 43,
                      .n_deaths = 44,
                      .n_replaced = 45 } },
        { .type = WIRE_REPORT, .id = 19, .report = { .applied = true, .truncated = true } },
        { .type = WIRE_CREATED, .id = 24, .created = { true, true, 0x5a, 0x5b, 0x5c } },
        { .type = WIRE_EVENTS, .id = 23, .events = { .resync = true, .sequence = 58 } },
};
#define N_SPECIMENS (sizeof(specimens) / sizeof(*specimens))

static const WireEvent events[] = {
        { .sequence = 51,
          .at_ns = 52,
          .event = 5,
          .state = 2,
          .region = "telemetry/imu",
          .generation = 53,
          .lease = 54,
          .role = 1,
          .uid = 55,
          .pid = 56,
          .command = "imu-driver",
          .reason = "why" },
        { .sequence = 57, .event = 8, .region = "a/raw", .command = "", .reason = "" },
};

static const WireRegion regions[] = {
        { .name = "telemetry/imu",
          .description = "six-axis samples",
          .type = "imu_sample/3",
          .reason = "lingering",
          .origin = "shmbrokerd.yaml:7",
          .access = "produce: user:sensors; consume: any",
          .geometry = GEOMETRY,
          .tag = 21,
          .generation = 22,
          .lifetime = 23,
          .state = 24,
          .linger_ns = 25,
          .size_bytes = 26,
          .used = 27,
          .moved = 28,
          .dropped = 29,
          .redelivered = 31,
          .waits = 32,
          .wakes = 33,
          .n_producers = 34,
          .n_consumers = 35,
          .n_observers = 36,
          .n_readers = 37,
          .n_writers = 38,
          .missed = 39 },
        { .name = "a/raw" },
};

static const WireHolder holder = {
        .lease = 41,
        .region = "telemetry/imu",
        .role = 2,
        .index = 1,
        .uid = 1000,
        .pid = 4711,
        .command = "imu-reader",
        .unit = "imu.service",
        .since_ns = 43,
        .occupancy = 1,
        .connected = true,
};

/* In the order of the specimens. */
static const char *const hex[] = {
        "38000000010000000100000000000000010004000100000002000400020000000300100010111213"
        "1415161718191a1b1c1d1e1f00000000",
        "7800000002000000020000000000000001000e0074656c656d657472792f696d7500000000000000"
        "020004000100000003000400020000000400040040000000050004000800000006000d00696d755f"
        "73616d706c652f330000000000000000070008008877665544332211000000000800040001000000",
        "2800000003000000030000000000000001000800510000000000000000000000020004004a000000",
        "2000000004000000040000000000000001000800ffffffffffffffff00000000",
        "30000000050000000500000000000000010008005200000000000000000000000200040002000000"
        "030004003f000000",
        "40000000060000000600000000000000010008005300000000000000000000000200080007000000"
        "000000000000000003000400080000000400040001000000",
        "2800000007000000070000000000000001000600612f726177000000000000000200010000000000",
        "3000000008000000080000000000000001000600612f726177000000000000000200080054000000"
        "0000000000000000",
        "10000000090000000900000000000000",
        "180000000a0000000a000000000000000100040001000000",
        "180000000b0000000b000000000000000100040001000000",
        "300000000c0000000500000000000000010008005200000000000000000000000200040003000000"
        "030004003e000000",
        "500000000d000000140000000000000001000800560000000000000000000000020004003f000000"
        "03000400020000000400080034120000000000000000000005000800785600000000000000000000",
        "200000000e000000150000000000000001000800570000000000000000000000",
        "500000000f000000160000000000000001000a0073657373696f6e2f610000000200040001000000"
        "03000400010000000400080058000000000000000000000005000800590000000000000000000000",
        "2000000010000000170000000000000001000a0073657373696f6e2f62000000",
        "2000000011000000160000000000000001000600612f72617700000000000000",
        "2000000012000000180000000000000001000800580000000000000000000000",
        "1000000040000000ffffffffffffffff",
        "50000000410000000c00000000000000010004000900000002003100657665727920736561742069"
        "732068656c643a20736565206073686d62726f6b657263746c2077686f20612f7261776000000000",
        "50000000420000000d000000000000000100040001000000020004000200000003001000a0a1a2a3"
        "a4a5a6a7a8a9aaabacadaeaf0000000004000600302e312e30000000000000000500040001000000",
        "78010000430000000e00000000000000010008005500000000000000000000000200080009000000"
        "0000000000000000030008001032547698badcfe0000000004000400020000000500040001000000"
        "06008000010004000200000002000400010000000300040003000000040004000500000005000400"
        "06000000060004003c00000007000400080000000800040040000000090008000010000000000000"
        "000000000a0008004d00000000000000000000000b0008000020000000000000000000000c000400"
        "000400000d000400020000000000000007000d00696d755f73616d706c652f330000000000000000"
        "08001800010004000100000005000800002000000000000000000000000000000800200001000400"
        "02000000030004000300000005000800001004000000000000000000000000000800300001000400"
        "03000000020004000100000003000400040000000400040001000000050008000030000000000000"
        "00000000000000000900040001000000",
        "20000000440000000f0000000000000001000400020000000200040001000000",
        "500200004500000010000000000000000100040001000000020030020100080201000e0074656c65"
        "6d657472792f696d7500000000000000020011007369782d617869732073616d706c657300000000"
        "03000d00696d755f73616d706c652f33000000000000000004000a006c696e676572696e67000000"
        "0500120073686d62726f6b6572642e79616d6c3a370000000600240070726f647563653a20757365"
        "723a73656e736f72733b20636f6e73756d653a20616e790007008000010004000200000002000400"
        "01000000030004000300000004000400050000000500040006000000060004003c00000007000400"
        "080000000800040040000000090008000010000000000000000000000a0008004d00000000000000"
        "000000000b0008000020000000000000000000000c000400000400000d0004000200000000000000"
        "08000800150000000000000000000000090008001600000000000000000000000a00040017000000"
        "0b000400180000000c0008001900000000000000000000000d0008001a0000000000000000000000"
        "0e0008001b00000000000000000000000f0008001c0000000000000000000000100008001d000000"
        "0000000000000000110008001f000000000000000000000012000800200000000000000000000000"
        "13000800210000000000000000000000140004002200000015000400230000001600040024000000"
        "17000400250000001800040026000000190008002700000000000000000000000000000001001800"
        "01000600612f7261770000000000000007000000000000000000000000000000",
        "b0000000460000001100000000000000010004000100000002009000010088000100080029000000"
        "000000000000000002000e0074656c656d657472792f696d75000000000000000300040002000000"
        "040004000100000005000400e8030000060004006712000007000b00696d752d7265616465720000"
        "08000c00696d752e7365727669636500090008002b00000000000000000000000a00040001000000"
        "0b000400010000000000000000000000",
        "4801000047000000120000000000000001000600302e312e300000000000000002001f002f657463"
        "2f73686d62726f6b65722f73686d62726f6b6572642e79616d6c00000000000003000f002f72756e"
        "2f73686d62726f6b65720000000000000400130070696466643d534f5f5045455250494446440000"
        "05000500646f6e650000000000000000060004001f00000007000400200000000800080021000000"
        "0000000000000000090008002200000000000000000000000a000400230000000b00040024000000"
        "0c000400250000000d000400260000000e0008002700000000000000000000000f00080028000000"
        "000000000000000010000800290000000000000000000000110008002a0000000000000000000000"
        "120008002b0000000000000000000000130008002c0000000000000000000000140008002d000000"
        "0000000000000000",
        "60000000480000001300000000000000010004000100000002000400010000000300380001001000"
        "01000a0061646420612f726177000000000000000100000000000000010010000100090072656d6f"
        "76652062000000000000000000000000",
        "5000000049000000180000000000000001000400010000000200040001000000030008005a000000"
        "0000000000000000040008005b0000000000000000000000050008005c0000000000000000000000",
        "000100004a00000017000000000000000100040001000000020008003a0000000000000000000000"
        "0300d000010098000100080033000000000000000000000002000800340000000000000000000000"
        "0300040005000000040004000200000005000e0074656c656d657472792f696d7500000000000000"
        "06000800350000000000000000000000070008003600000000000000000000000800040001000000"
        "09000400370000000a000400380000000b000b00696d752d64726976657200000c00040077687900"
        "000000000100280001000800390000000000000000000000030004000800000005000600612f7261"
        "77000000000000000000000000000000",
};

static size_t find(unsigned type) {
        size_t i;

        for (i = 0; i < N_SPECIMENS; i++)
                if (specimens[i].type == type)
                        return i;
        return 0;
}

static void fill_pages(WireMessage *message) {
        static uint8_t page[WIRE_PAGE_MAX];
        size_t n = 0;

        memset(page, 0, sizeof(page));
        if (message->type == WIRE_LISTING) {
                wire_region_append(page, sizeof(page), &n, &regions[0]);
                wire_region_append(page, sizeof(page), &n, &regions[1]);
                message->listing.entries = page;
                message->listing.n_bytes_entries = n;
        } else if (message->type == WIRE_HOLDERS) {
                wire_holder_append(page, sizeof(page), &n, &holder);
                message->holders.entries = page;
                message->holders.n_bytes_entries = n;
        } else if (message->type == WIRE_REPORT) {
                wire_line_append(page, sizeof(page), &n, "add a/raw");
                wire_line_append(page, sizeof(page), &n, "");
                wire_line_append(page, sizeof(page), &n, "remove b");
                message->report.lines = page;
                message->report.n_bytes_lines = n;
        } else if (message->type == WIRE_EVENTS) {
                wire_event_append(page, sizeof(page), &n, &events[0]);
                wire_event_append(page, sizeof(page), &n, &events[1]);
                message->events.entries = page;
                message->events.n_bytes_entries = n;
        }
}

const WireMessage *wire_specimen(unsigned type) {
        static WireMessage message;

        message = specimens[find(type)];
        fill_pages(&message);
        return &message;
}

const char *wire_specimen_hex(unsigned type) {
        return hex[find(type)];
}
