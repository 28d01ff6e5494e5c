/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Reload
 *
 * From one configuration to the next, whole or not at all: read, check and plan everything, make
 * what can fail first, and only then touch what is there. What was refused leaves no trace but its
 * reasons.
 */

#include <stdbool.h>
#include <stddef.h>

#include "config/decl.h"
#include "daemon/server.h"

enum {
        _RELOAD_E_SUCCESS,

        RELOAD_E_CONFIG, /* the files are wrong */
        RELOAD_E_FAILED, /* something that the new configuration wants could not be made */
};

/** A line of the report; @userdata is the caller's. */
typedef void (*ReloadSay)(void *userdata, const char *line);

/**
 * reload_read() - read a configuration; every error goes to the journal
 * @config:     where it lies
 * @ret_set:    complete and consistent, for decl_set_free()
 * @sentence:   gets the first error and how many there are
 * @size:       its bytes
 *
 * Return: 0, RELOAD_E_CONFIG, or -ENOMEM.
 */
int reload_read(const ConfigPaths *config, DeclSet **ret_set, char *sentence, size_t size);

/** reload_check() - the verdict of config_check(), on our streams; codes as reload_read() */
int reload_check(const ConfigPaths *config);

/**
 * reload() - read the configuration again and go over to it
 * @server:     server
 * @plan_only:  only say what would be done
 * @say:        gets each step, may be NULL
 * @userdata:   of @say
 * @sentence:   gets why not
 * @size:       its bytes
 *
 * Return: 0, or RELOAD_E_* (nothing was changed).
 */
int reload(Server *server, bool plan_only, ReloadSay say, void *userdata, char *sentence,
           size_t size);

/**
 * reload_start() - the first configuration of this broker: declare and create
 * @server:     server without regions but those that were taken over
 * @decls:      what is declared
 *
 * What fails is said in the journal.
 *
 * Return: 0, or RELOAD_E_FAILED.
 */
int reload_start(Server *server, const DeclSet *decls);
