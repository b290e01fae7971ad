/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/pick.h"

#include <string.h>
#include <strings.h>

#include "pln/out.h"

static bool is_meant(const json_t *object, const char *prefix) {
    return strncasecmp(pln_json_text(object, "id", ""), prefix, strlen(prefix)) == 0;
}

pln_exit pln_pick_peer(const pln_cli *cli, const json_t *status, const char *prefix,
                       json_t **ret_peer) {
    json_t *peer;
    json_t *found = NULL;
    size_t i;
    size_t count = 0;
    json_array_foreach(json_object_get(status, "peers"), i, peer) {
        if (is_meant(peer, prefix)) {
            found = peer;
            count++;
        }
    }
    if (count > 1) {
        return pln_fail(cli, PLN_EXIT_AMBIGUOUS, "pln status --wide",
                        "%s: peer %s: the prefix matches %zu peers", cli->verb->name, prefix,
                        count);
    }
    if (count == 0 && is_meant(json_object_get(status, "self"), prefix)) {
        return pln_fail(cli, PLN_EXIT_USAGE, "pln status", "%s: peer %s: that is this node itself",
                        cli->verb->name, prefix);
    }
    *ret_peer = found;
    return PLN_EXIT_OK;
}

bool pln_peer_is_connected(const json_t *peer) {
    return strcmp(pln_json_text(peer, "state", ""), "connected") == 0;
}
