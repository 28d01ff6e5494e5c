/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Death at Each Instruction
 *
 * A child runs an operation on shared memory and is stopped after each instruction. What stands in
 * the memory then is what a SIGKILL there would leave behind, so a check may be run on it, in
 * place, before the memory is put back and the child goes on. That is as good as a kill at each
 * point, and needs one child instead of one for each point.
 *
 * Needs ptrace(PTRACE_TRACEME) and nothing else.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        STEP_MEMORY_MAX = 65536,
        /* Distinct contents of the memory that one operation passes through. */
        STEP_STATES_MAX = 64,
};

typedef struct StepMemory {
        uint8_t *bytes; /* shared with the child */
        size_t n_bytes;
} StepMemory;

/* Contents that a child may leave behind. */
typedef struct StepStates {
        size_t n_states;
        uint8_t bytes[STEP_STATES_MAX][STEP_MEMORY_MAX];
} StepStates;

/* False where this process may not trace its child. */
bool step_is_possible(void);

/* Shared, zeroed memory; given back by step_memory_deinit(). */
void step_memory_init(StepMemory *memory, size_t n_bytes);
void step_memory_deinit(StepMemory *memory);

/**
 * step_through() - run @act in a child, and @check after each of its instructions
 * @check:   may change the memory; @is_over says that @act has returned
 * @ret_states: each content that differs from the one before it, the first included; may be NULL
 *
 * The memory is left as @act left it.
 *
 * Return: how many instructions it took.
 */
size_t step_through(StepMemory *memory, void (*act)(void), void (*check)(bool is_over),
                    StepStates *ret_states);

/**
 * step_pause() - stop @act after @n_steps instructions, run @meanwhile, and let it go on to its end
 *
 * The memory is shared throughout: nothing is put back.
 *
 * Return: false if @act was over before.
 */
bool step_pause(void (*act)(void), size_t n_steps, void (*meanwhile)(void));
