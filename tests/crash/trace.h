/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A Process that is Killed where Something has Changed
 *
 * A child runs one operation, an instruction at a time. Between two instructions that leave what
 * others can see as it was, a kill has the same effect; so there is one point for each change of
 * the watched memory and one on either side of each system call. Each is reached anew in a child of
 * its own, and that child is killed there for real.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
        TRACE_POINTS_MAX = 512,
        TRACE_WATCHED_MAX = 16,
};

/* So many instructions behind so many system calls. */
typedef struct TracePoint {
        uint32_t n_calls, n_steps;
} TracePoint;

typedef struct TracePoints {
        size_t n;
        uint64_t n_instructions; /* of the whole operation */
        TracePoint points[TRACE_POINTS_MAX];
} TracePoints;

/* Memory that others see, mapped here. */
typedef struct TraceWatched {
        const uint8_t *bytes;
        size_t n_bytes;
} TraceWatched;

/* What a child does: get ready, trace_begin(), the operation, trace_end(). */
typedef void (*TraceAct)(void *data);

/* in the child */
void trace_begin(void);
_Noreturn void trace_end(void);

/**
 * trace_find() - where a kill makes a difference
 * @act, @data: run in a child as root
 * @watched:    what counts as a change
 * @ret_points: in order; the first is before the first instruction, the last behind the last
 */
void trace_find(TraceAct act, void *data, const TraceWatched *watched, size_t n_watched,
                TracePoints *ret_points);

/**
 * trace_kill() - run @act up to @point, and SIGKILL it there
 *
 * The child has been waited for. Return: false if it came to its end before (it was killed then).
 */
bool trace_kill(TraceAct act, void *data, TracePoint point);
