/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Files of the Configuration
 *
 * Who may write a configuration may hand out memory in the broker's name, so a file is read only if
 * nobody but root or the broker's own user could have written it: neither the file nor the folder
 * that it lies in may be writable by others, and it is no symbolic link. Only for config/.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config/errors.h"

enum {
        _CONFIG_FILE_E_SUCCESS,

        CONFIG_FILE_E_MISSING, /* there is no such file or folder */
        CONFIG_FILE_E_REFUSED, /* it must not or cannot be read; said in the errors */
};

/**
 * config_folder_open() - open a folder that configuration may lie in
 * @path:               the folder
 * @errors:             why not
 * @ret_fd:             fd for *at() calls and for reading its entries; owned by the caller
 *
 * A folder that others may write is refused, unless it is sticky (/tmp), where they cannot replace
 * what is ours.
 *
 * Return: 0; CONFIG_FILE_E_MISSING; CONFIG_FILE_E_REFUSED; -ENOMEM.
 */
int config_folder_open(const char *path, DeclErrors *errors, int *ret_fd);

/**
 * config_file_read_at() - read one file, whole
 * @folder_fd:          its folder, from config_folder_open()
 * @name:               its name there
 * @path:               its path, for errors
 * @errors:             why not
 * @ret_data:           its bytes, of no more than CONFIG_FILE_SIZE_MAX + 1; owned by the caller
 * @ret_n_bytes:        how many
 *
 * Never waits: a FIFO or a device is refused. A file that changes while it is read is read again.
 *
 * Return: 0; CONFIG_FILE_E_MISSING; CONFIG_FILE_E_REFUSED; -ENOMEM.
 */
int config_file_read_at(int folder_fd, const char *name, const char *path, DeclErrors *errors,
                        char **ret_data, size_t *ret_n_bytes);

/* The call between two fstat() calls; tests put their own here. */
extern ssize_t (*config_file_read)(int fd, void *buffer, size_t n_bytes);
