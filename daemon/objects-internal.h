/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Objects, between their files
 *
 * objects.c makes and removes whole regions, objects-replace.c single objects of a region that is
 * in use.
 */

#include "daemon/objects.h"

/* Whole, not yet written down, not yet to be found. Fills in dev and ino of @object on success. */
int objects_draft(Server *server, Region *region, RegionObject *object, BackingDraft *ret_draft,
                  ObjectsFault *fault);
/* What became of writing it down: 0 or -errno of daemon/ledger.h in, 0 or OBJECTS_E_FAILED out. */
int objects_record(const Region *region, int r, ObjectsFault *fault);
/* Consumes @draft in any case; dev and ino of @object are none where it fails. */
int objects_publish_draft(Server *server, Region *region, RegionObject *object,
                          BackingDraft *draft, ObjectsFault *fault);
void objects_unlink_object(Server *server, Region *region, RegionObject *object);
/* What a call of the system had to say against @region. */
void objects_fail(ObjectsFault *fault, ShmbStatus status, const char *region, const char *what,
                  int r);
void objects_close_graves(RegionBody *body);
