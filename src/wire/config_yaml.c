/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/config_yaml.h"

#include <stdlib.h>
#include <string.h>

#include "base/key.h"
#include "base/mem.h"
#include "wire/duration.h"
#include "wire/hostport.h"
#include "wire/yaml_text.h"
#include "wire/yaml_tree.h"

#define NS_PER_SECOND 1000000000ll

/* ---- Reading --------------------------------------------------------------------------------- */

static pollen_err read_ttl(const pln_yaml_node *ttls, const char *key, int64_t *ret, char *why) {
    const pln_yaml_node *node = pln_yaml_get(ttls, key);
    int64_t ns;
    if (node == NULL) {
        return POLLEN_OK;
    }
    /* A bare 0 is a number to YAML and refused like every number; "0s" and "0" in quotes are
     * not. */
    if (node->kind != PLN_YAML_SCALAR || pln_duration_parse(node->text, &ns) != POLLEN_OK ||
        (node->plain && strpbrk(node->text, "smh") == NULL)) {
        return pln_yaml_fail(node, "a duration like 48h or 90m is needed", why);
    }
    if (ns < 0) {
        return pln_yaml_fail(node, "a duration must not be negative", why);
    }
    if (ns > 0 && ns < NS_PER_SECOND) {
        /* It would become 0, which stands for the default of years. */
        return pln_yaml_fail(node, "a duration must be a second at least", why);
    }
    *ret = ns / NS_PER_SECOND;
    return POLLEN_OK;
}

static pollen_err read_ttls(const pln_yaml_node *root, pln_config *config, char *why) {
    const pln_yaml_node *ttls = pln_yaml_get(root, "certTTLs");
    if (ttls == NULL) {
        return POLLEN_OK;
    }
    if (ttls->kind != PLN_YAML_MAP) {
        return pln_yaml_fail(ttls, "certTTLs must be a map", why);
    }
    pollen_err err = read_ttl(ttls, "membership", &config->membership_ttl, why);
    if (err == POLLEN_OK) {
        err = read_ttl(ttls, "admin", &config->admin_ttl, why);
    }
    if (err == POLLEN_OK) {
        err = read_ttl(ttls, "tlsIdentity", &config->tls_identity_ttl, why);
    }
    return err;
}

static bool is_one_of(const char *text, const char *const words[], size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static pollen_err read_public(const pln_yaml_node *root, pln_config *config, char *why) {
    static const char *const yes[] = {"true", "True", "TRUE", "y",  "Y", "yes",
                                      "Yes",  "YES",  "on",   "On", "ON"};
    static const char *const no[] = {"false", "False", "FALSE", "n",   "N",  "no",
                                     "No",    "NO",    "off",   "Off", "OFF"};
    const pln_yaml_node *node = pln_yaml_get(root, "public");
    if (node == NULL) {
        return POLLEN_OK;
    }
    if (node->kind == PLN_YAML_SCALAR && node->plain) {
        config->is_public = is_one_of(node->text, yes, sizeof(yes) / sizeof(yes[0]));
        if (config->is_public || is_one_of(node->text, no, sizeof(no) / sizeof(no[0]))) {
            return POLLEN_OK;
        }
    }
    return pln_yaml_fail(node, "public must be true or false", why);
}

static pollen_err read_port_mapping(const pln_yaml_node *root, pln_config *config, char *why) {
    const pln_yaml_node *node = pln_yaml_get(root, "portMapping");
    if (node == NULL) {
        return POLLEN_OK;
    }
    config->maps_port = node->kind == PLN_YAML_SCALAR && strcmp(node->text, "pcp") == 0;
    if (config->maps_port || (node->kind == PLN_YAML_SCALAR && strcmp(node->text, "off") == 0)) {
        return POLLEN_OK;
    }
    return pln_yaml_fail(node, "portMapping must be pcp or off", why);
}

/* After each address, so that the search for duplicates stays short. */
static pollen_err check_counts(const pln_bootstraps *list, const pln_yaml_node *node, char *why) {
    bool fits = list->count <= PLN_BOOTSTRAP_MAX;
    for (size_t i = 0; fits && i < list->count; i++) {
        fits = list->items[i].addr_count <= PLN_ADDRS_MAX;
    }
    return fits ? POLLEN_OK : pln_yaml_fail(node, "too many bootstrap peers or addresses", why);
}

static pollen_err read_addrs(const pln_yaml_node *peer, const pollen_key *key, pln_config *config,
                             char *why) {
    const pln_yaml_node *addrs = pln_yaml_get(peer, "addrs");
    if (addrs == NULL || addrs->kind != PLN_YAML_LIST || addrs->child == NULL) {
        return pln_yaml_fail(addrs != NULL ? addrs : peer, "at least one address is needed", why);
    }
    for (const pln_yaml_node *node = addrs->child; node != NULL; node = node->next) {
        char text[PLN_ADDR_TEXT_MAX + 1];
        const char *addr = text;
        if (node->kind != PLN_YAML_SCALAR || pln_yaml_is_null(node) ||
            pln_hostport_normalise(node->text, strlen(node->text), text) != POLLEN_OK) {
            return pln_yaml_fail(node, "not an address", why);
        }
        if (pln_bootstraps_add(&config->bootstrap, key, &addr, 1) != POLLEN_OK) {
            return POLLEN_ENOMEM;
        }
        pollen_err err = check_counts(&config->bootstrap, node, why);
        if (err != POLLEN_OK) {
            return err;
        }
    }
    return POLLEN_OK;
}

static pollen_err read_peer(const pln_yaml_node *peer, pln_config *config, char *why) {
    pollen_key key;
    if (peer->kind != PLN_YAML_MAP) {
        return pln_yaml_fail(peer, "a bootstrap peer must be a map", why);
    }
    const pln_yaml_node *pub = pln_yaml_get(peer, "peerPub");
    if (pub == NULL || (pub->kind == PLN_YAML_SCALAR && pub->text[0] == '\0')) {
        return POLLEN_OK; /* As the reference: an entry without a key is dropped. */
    }
    if (pub->kind != PLN_YAML_SCALAR || pollen_key_parse(pub->text, &key) != POLLEN_OK) {
        return pln_yaml_fail(pub, "peerPub must be 64 hex digits", why);
    }
    return read_addrs(peer, &key, config, why);
}

static pollen_err read_peers(const pln_yaml_node *root, pln_config *config, char *why) {
    const pln_yaml_node *peers = pln_yaml_get(root, "bootstrapPeers");
    if (peers == NULL) {
        return POLLEN_OK;
    }
    if (peers->kind != PLN_YAML_LIST) {
        return pln_yaml_fail(peers, "bootstrapPeers must be a list", why);
    }
    for (const pln_yaml_node *peer = peers->child; peer != NULL; peer = peer->next) {
        pollen_err err = read_peer(peer, config, why);
        if (err != POLLEN_OK) {
            return err;
        }
    }
    return POLLEN_OK;
}

static int compare_peers(const void *a, const void *b) {
    const pln_bootstrap *left = a;
    const pln_bootstrap *right = b;
    return pln_key_compare(&left->peer_pub, &right->peer_pub);
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Duplicates are gone already: pln_bootstraps_add() takes neither a peer nor an address twice. */
static void sort(pln_bootstraps *list) {
    for (size_t i = 0; i < list->count; i++) {
        pln_bootstrap *peer = &list->items[i];
        qsort(peer->addrs, peer->addr_count, sizeof(char *), compare_texts);
    }
    if (list->count > 0) {
        qsort(list->items, list->count, sizeof(pln_bootstrap), compare_peers);
    }
}

static pollen_err read_root(const pln_yaml_node *root, pln_config *config, char *why) {
    if (root == NULL || pln_yaml_is_null(root)) {
        return POLLEN_OK;
    }
    if (root->kind != PLN_YAML_MAP) {
        return pln_yaml_fail(root, "a map of settings is needed", why);
    }
    pollen_err err = read_ttls(root, config, why);
    if (err == POLLEN_OK) {
        err = read_public(root, config, why);
    }
    if (err == POLLEN_OK) {
        err = read_port_mapping(root, config, why);
    }
    if (err == POLLEN_OK) {
        err = read_peers(root, config, why);
    }
    sort(&config->bootstrap);
    return err;
}

pollen_err pln_config_decode(const char *text, size_t size, pln_config *ret, char *why) {
    pln_yaml_node *root;
    if (size > PLN_CONFIG_TEXT_MAX) {
        (void)pln_yaml_fail(NULL, "too large", why);
        return POLLEN_ECONFIG;
    }
    pollen_err err = pln_yaml_parse(text, size, &root, why);
    if (err == POLLEN_OK) {
        pln_config config = {0};
        err = read_root(root, &config, why);
        pln_yaml_free(root);
        if (err == POLLEN_OK) {
            *ret = config;
        } else {
            pln_config_fini(&config);
        }
    }
    return err == POLLEN_EPROTO ? POLLEN_ECONFIG : err;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void put_peer(pln_out *out, const pln_bootstrap *peer) {
    char hex[POLLEN_KEY_HEX_BYTES];
    pln_out_text(out, "    - peerPub: ");
    pln_yaml_put_scalar(out, pollen_key_hex(&peer->peer_pub, hex));
    pln_out_text(out, "\n      addrs:\n");
    for (size_t i = 0; i < peer->addr_count; i++) {
        pln_out_text(out, "        - ");
        pln_yaml_put_scalar(out, peer->addrs[i]);
        pln_out_text(out, "\n");
    }
}

static void put_ttl(pln_out *out, const char *key, int64_t seconds) {
    char text[PLN_DURATION_TEXT_BYTES];
    if (seconds > 0) {
        pln_out_printf(out, "    %s: %s\n", key, pln_duration_format(seconds, text));
    }
}

/* The canonical form of the peers, whatever order and form the caller has them in. */
static pollen_err canonical_peers(const pln_bootstraps *from, pln_bootstraps *ret) {
    pln_bootstraps list = {0};
    for (size_t i = 0; i < from->count; i++) {
        for (size_t k = 0; k < from->items[i].addr_count; k++) {
            char text[PLN_ADDR_TEXT_MAX + 1];
            const char *from_addr = from->items[i].addrs[k];
            const char *addr = text;
            pollen_err err = POLLEN_EINVAL;
            if (pln_hostport_normalise(from_addr, strlen(from_addr), text) == POLLEN_OK) {
                err = pln_bootstraps_add(&list, &from->items[i].peer_pub, &addr, 1);
            }
            if (err != POLLEN_OK) {
                pln_bootstraps_fini(&list);
                return err;
            }
        }
    }
    if (check_counts(&list, NULL, NULL) != POLLEN_OK) {
        pln_bootstraps_fini(&list);
        return POLLEN_EINVAL;
    }
    sort(&list);
    *ret = list;
    return POLLEN_OK;
}

pollen_err pln_config_encode(const pln_config *config, pln_bytes *ret_text) {
    pln_bootstraps peers;
    pln_bytes text = {0};
    pollen_err err = canonical_peers(&config->bootstrap, &peers);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_out out = {0};
    if (peers.count > 0) {
        pln_out_text(&out, "bootstrapPeers:\n");
    }
    for (size_t i = 0; i < peers.count; i++) {
        put_peer(&out, &peers.items[i]);
    }
    if (config->membership_ttl > 0 || config->admin_ttl > 0 || config->tls_identity_ttl > 0) {
        pln_out_text(&out, "certTTLs:\n");
    }
    put_ttl(&out, "membership", config->membership_ttl);
    put_ttl(&out, "admin", config->admin_ttl);
    put_ttl(&out, "tlsIdentity", config->tls_identity_ttl);
    if (config->is_public) {
        pln_out_text(&out, "public: true\n");
    }
    if (config->maps_port) {
        pln_out_text(&out, "portMapping: pcp\n");
    }
    if (out.bytes.size == 0) {
        pln_out_text(&out, "{}\n");
    }
    pln_bootstraps_fini(&peers);
    err = pln_out_finish(&out, &text);
    if (err == POLLEN_OK) {
        *ret_text = text;
    }
    return err;
}

void pln_config_fini(pln_config *config) {
    pln_bootstraps_fini(&config->bootstrap);
    *config = (pln_config){0};
}
