/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Objects, between their files
 *
 * objects.c makes and removes whole regions, objects-replace.c single objects of a region that is
 * in use.
 */

#include "daemon/objects.h"

/* Whole and written down, not yet to be found. Fills in dev and ino of @object on success. */
int objects_draft(Server *server, Region *region, RegionObject *object, BackingDraft *ret_draft,
                  ObjectsFault *fault);
/* Consumes @draft in any case; dev and ino of @object are none where it fails. */
int objects_publish_draft(Server *server, Region *region, RegionObject *object,
                          BackingDraft *draft, ObjectsFault *fault);
void objects_unlink_object(Server *server, Region *region, RegionObject *object);
/* What a call of the system had to say against @region. */
void objects_fail(ObjectsFault *fault, ShmbStatus status, const char *region, const char *what,
                  int r);
void objects_close_graves(RegionBody *body);
