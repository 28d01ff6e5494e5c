/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `create` and `remove`: regions of templates.
 *
 * On the admin socket what is created is nobody's, and stays as its template says. A creator who is
 * no administrator takes a region without a ttl along when he ends, and this program ends at once:
 * then that is said, and is a failure.
 */

#include "client/ctl/talk.h"

static int create_say(Ctl *ctl, const char *name, const WireCreated *created) {
        fprintf(ctl->out, "%s %s\n", created->created ? "created" : "there is already", name);
        if (created->created && created->owned)
                return ctl_fail(ctl, "%s goes with this command, because its template has no ttl: "
                                "create it in the program that uses it, or on the admin socket",
                                name);
        return CTL_DONE;
}

int command_create(Ctl *ctl, int n_arguments, char **arguments) {
        WireMessage request = { .type = WIRE_CREATE };
        const WireMessage *reply;
        Talk *talk = NULL;
        int r;

        request.create = (WireCreate){
                .name = arguments[0],
                .exclusive = ctl->exclusive,
                .region_size = ctl->size,
                .capacity = ctl->capacity,
        };
        r = ctl_check_name(ctl, arguments[0]);
        if (r == CTL_DONE)
                r = talk_open(ctl, &talk);
        if (r == CTL_DONE)
                r = talk_request(talk, &request, WIRE_CREATED, &reply);
        if (r == CTL_DONE)
                r = create_say(ctl, arguments[0], &reply->created);
        talk_close(talk);
        return r;
}

/* All of them are tried. */
int command_remove(Ctl *ctl, int n_arguments, char **arguments) {
        WireMessage request = { .type = WIRE_REMOVE };
        const WireMessage *reply;
        Talk *talk = NULL;
        int i, r, result = CTL_DONE;

        for (i = 0; i < n_arguments && result == CTL_DONE; i++)
                result = ctl_check_name(ctl, arguments[i]);
        if (result == CTL_DONE)
                result = talk_open(ctl, &talk);
        for (i = 0; i < n_arguments && talk; i++) {
                request.remove.name = arguments[i];
                r = talk_request(talk, &request, WIRE_OK, &reply);
                if (r == CTL_DONE)
                        fprintf(ctl->out, "removed %s\n", arguments[i]);
                else
                        result = r;
        }
        talk_close(talk);
        return result;
}
