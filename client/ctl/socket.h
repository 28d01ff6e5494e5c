/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where the broker's sockets are (libshmbroker's rule, shmb_connect()).
 */

#include <stddef.h>

#define SOCKET_SYSTEM "/run/shmbroker/broker.sock"
#define SOCKET_OF_USER "shmbroker/broker.sock" /* below $XDG_RUNTIME_DIR */
#define SOCKET_ADMIN "admin.sock"              /* beside broker.sock */

enum {
        SOCKET_PATH_MAX = 4096,
};

/*
 * Write the path of broker.sock: @given, else $SHMBROKER_SOCKET, else the user's own broker if it
 * is there, else the system's.
 */
void socket_path(const char *given, char *buffer, size_t size);
