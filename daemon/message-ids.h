/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Message Identifiers
 *
 * What an operator, a monitor or the catalog recognises an entry of the journal by. One id is one
 * kind of event; its wording may change, its id never. The text that tells an operator what to do
 * is in systemd/shmbroker.catalog, and tests/house compares the two lists.
 *
 * Beside MESSAGE_ID every entry carries the fields named here. Ids are 128 random bits, made by
 * `systemd-id128 new`.
 */

/* The broker is ready.
 * N_REGIONS= how many can be attached; CONFIG_FILE= */
#define SHMB_MESSAGE_STARTED_STR "53ac470ab98a4542ad90d238c6fbc295"

/* The broker is about to end.
 * REASON= */
#define SHMB_MESSAGE_STOPPING_STR "c86d8fd7219a4897ba63bcad86cc9267"

/* A new configuration is in force.
 * N_ADDED= N_REMOVED= N_CHANGED= */
#define SHMB_MESSAGE_CONFIG_RELOADED_STR "3cf5ab0fe8e54e9f8a1b9ab0afac2105"

/* A configuration was refused and nothing was changed.
 * CONFIG_FILE= CONFIG_LINE= CONFIG_COLUMN=; one entry for each error */
#define SHMB_MESSAGE_CONFIG_REJECTED_STR "4f65ae6484f9469a8c9ea2d4de665248"

/* A region exists.
 * REGION= KIND= BACKING= SIZE=; TEMPLATE= CLIENT_UID= CLIENT_PID= where a client created it */
#define SHMB_MESSAGE_REGION_CREATED_STR "f0612a9cc8c74b1baf8b7e75792f6c37"

/* A region was removed.
 * REGION= REASON= */
#define SHMB_MESSAGE_REGION_REAPED_STR "9dbc7149615a457ebc4644884b04360b"

/* A region that the record names is gone or is not ours any more.
 * REGION= REASON= */
#define SHMB_MESSAGE_REGION_LOST_STR "2d8a4fc6a2ef46aca00b2cc732aadd96"

/* A client was refused.
 * REGION= ROLE= CLIENT_UID= CLIENT_PID= REASON= */
#define SHMB_MESSAGE_ATTACH_REFUSED_STR "7cc656977e224b26b2870c40807514e9"

/* A lease ended by the death of its holder.
 * REGION= ROLE= CLIENT_UID= CLIENT_PID= REASON= */
#define SHMB_MESSAGE_LEASE_DIED_STR "73d5611ca7824d018d8de28afed2f422"

/* No proof that nobody writes an object any more: it got a new epoch.
 * REGION= OBJECT= EPOCH= */
#define SHMB_MESSAGE_OBJECT_REPLACED_STR "0e2323b29a1e451a9240eaceca395270"

/* A name in /dev/shm that is ours to create belongs to somebody else.
 * REGION= SHM_NAME= OWNER_UID= */
#define SHMB_MESSAGE_NAME_SQUATTED_STR "35cce05a14304e96b0f580ef1971fd1a"

/* Objects of a killed predecessor were taken over or removed.
 * N_ADOPTED= N_REMOVED= */
#define SHMB_MESSAGE_LEFTOVERS_ADOPTED_STR "8601eeaae48f43778ee8d6757aa129d4"

/* A connection broke the protocol and was closed.
 * CLIENT_UID= CLIENT_PID= REASON= */
#define SHMB_MESSAGE_CLIENT_EXPELLED_STR "e760e60dd58f42778bdbdbb5cf60cd03"
