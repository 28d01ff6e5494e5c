/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Fault Injection
 *
 * Let the Nth system call fail, for N = 1, 2, ... until a run goes through without a fault: then
 * each call of the code under test has failed once. The test names the calls with FAULT_CALL() and
 * the build wraps them (-Wl,--wrap), so that the product has no seam for it.
 *
 * A run is armed by fault_arm() and disarmed by the fault itself or by fault_disarm(): what the
 * code does after a fault, and what the test does to look at it, goes through.
 */

#include <errno.h>
#include <stdbool.h>

enum {
        /* Not an errno: the process is killed where the call would begin. */
        FAULT_KILL = -1,
};

/**
 * fault_arm() - let one call fail
 * @nth:        which of the wrapped calls from now on, counted from 1
 * @error:      errno that it fails with, or FAULT_KILL
 */
void fault_arm(unsigned nth, int error);

/**
 * fault_disarm() - let everything through
 *
 * Return: whether the fault has happened.
 */
bool fault_disarm(void);

/** fault_step() - used by FAULT_CALL(): whether this call is to fail; sets errno if so */
bool fault_step(const char *name);

/** fault_name() - the call that failed last, "" if none did */
const char *fault_name(void);

#define FAULT_WRAP(_type, _name, _parameters, _arguments, _failure)                               \
        _type __real_##_name _parameters;                                                         \
        _type __wrap_##_name _parameters;                                                         \
        _type __wrap_##_name _parameters {                                                        \
                if (fault_step(#_name))                                                           \
                        return _failure;                                                          \
                return __real_##_name _arguments;                                                 \
        }

/* One wrapped call: FAULT_CALL(int, fchmod, (int fd, mode_t mode), (fd, mode)) */
#define FAULT_CALL(_type, _name, _parameters, _arguments)                                         \
        FAULT_WRAP(_type, _name, _parameters, _arguments, (_type)-1)

/* One that gives memory: FAULT_MEMORY(malloc, (size_t n), (n)) */
#define FAULT_MEMORY(_name, _parameters, _arguments)                                              \
        FAULT_WRAP(void *, _name, _parameters, _arguments, NULL)
