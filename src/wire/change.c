/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/change.h"

#include <string.h>

#include "base/mem.h"
#include "wire/utf8.h"

enum { IP_TEXT_MAX = PLN_ADDR_TEXT_MAX };

pln_change_kind pln_change_of(uint32_t number) {
    static const pln_change_kind kinds[] = {
        [3] = PLN_CHANGE_NETWORK,
        [4] = PLN_CHANGE_EXTERNAL_PORT,
        [5] = PLN_CHANGE_IDENTITY,
        [6] = PLN_CHANGE_SERVICE,
        [7] = PLN_CHANGE_REACHABILITY,
        [9] = PLN_CHANGE_REVOCATION,
        [10] = PLN_CHANGE_PUBLICLY_ACCESSIBLE,
    };
    return number < sizeof(kinds) / sizeof(kinds[0]) ? kinds[number] : PLN_CHANGE_NONE;
}

static pollen_err read_text(const uint8_t *data, size_t size, size_t max, char **ret) {
    if (size > max || !pln_utf8_is_text(data, size)) {
        return POLLEN_ELIMIT;
    }
    char *text = pln_malloc(size + 1);
    if (text == NULL) {
        return POLLEN_ENOMEM;
    }
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    *ret = text;
    return POLLEN_OK;
}

/* ---- NetworkChange: 1 ips, 2 local_port ------------------------------------------------------ */

static pollen_err read_ips(const pln_proto_message *msg, pln_network_change *network) {
    size_t count = msg->slots[1].count;
    if (count > PLN_GOSSIP_IPS_MAX) {
        return POLLEN_ELIMIT;
    }
    network->ips = pln_calloc(count > 0 ? count : 1, sizeof(*network->ips));
    if (network->ips == NULL) {
        return POLLEN_ENOMEM;
    }
    pln_proto_scan scan = pln_proto_scan_of(msg->bytes, msg->size);
    pln_proto_field field;
    while (pln_proto_next_of(&scan, 1, &field)) {
        char **ip = &network->ips[network->ip_count];
        pollen_err err = read_text(field.data, field.size, IP_TEXT_MAX, ip);
        if (err != POLLEN_OK) {
            return err;
        }
        network->ip_count += 1;
    }
    return POLLEN_OK;
}

static pollen_err read_network(const pln_proto_message *msg, pln_gossip_event *event) {
    event->network.local_port = (uint32_t)msg->slots[2].value;
    return read_ips(msg, &event->network);
}

static void write_network(const pln_gossip_event *event, pln_out *out) {
    for (size_t i = 0; i < event->network.ip_count; i++) {
        const char *ip = event->network.ips[i];
        pln_proto_put_present(out, 1, ip, strlen(ip));
    }
    pln_proto_put_u64(out, 2, event->network.local_port);
}

/* ---- ExternalPortChange: 1 external_port ----------------------------------------------------- */

static pollen_err read_external_port(const pln_proto_message *msg, pln_gossip_event *event) {
    event->external_port = (uint32_t)msg->slots[1].value; /* High bits drop, as for every uint32. */
    return POLLEN_OK;
}

static void write_external_port(const pln_gossip_event *event, pln_out *out) {
    pln_proto_put_u64(out, 1, event->external_port);
}

/* ---- IdentityChange: 1 identity_pub, 2 cert_expiry_unix -------------------------------------- */

static pollen_err read_identity(const pln_proto_message *msg, pln_gossip_event *event) {
    const pln_proto_slot *key = &msg->slots[1];
    event->identity.cert_expiry = (int64_t)msg->slots[2].value;
    event->identity.has_key = key->size > 0;
    if (key->size != 0 && key->size != POLLEN_KEY_BYTES) {
        return POLLEN_ELIMIT;
    }
    if (key->size > 0) {
        memcpy(event->identity.key.bytes, key->data, POLLEN_KEY_BYTES);
    }
    return POLLEN_OK;
}

static void write_identity(const pln_gossip_event *event, pln_out *out) {
    size_t size = event->identity.has_key ? POLLEN_KEY_BYTES : 0;
    pln_proto_put_bytes(out, 1, event->identity.key.bytes, size);
    pln_proto_put_i64(out, 2, event->identity.cert_expiry);
}

/* ---- ServiceChange: 1 name, 2 port ----------------------------------------------------------- */

static pollen_err read_service(const pln_proto_message *msg, pln_gossip_event *event) {
    const pln_proto_slot *name = &msg->slots[1];
    event->service.port = (uint32_t)msg->slots[2].value;
    if (name->size == 0) {
        return POLLEN_OK;
    }
    return read_text(name->data, name->size, PLN_SERVICE_NAME_MAX, &event->service.name);
}

static void write_service(const pln_gossip_event *event, pln_out *out) {
    if (event->service.name != NULL) {
        pln_proto_put_string(out, 1, event->service.name);
    }
    pln_proto_put_u64(out, 2, event->service.port);
}

/* ---- ReachabilityChange: 1 peer_id ----------------------------------------------------------- */

static pollen_err read_reachability(const pln_proto_message *msg, pln_gossip_event *event) {
    const pln_proto_slot *id = &msg->slots[1];
    char hex[POLLEN_KEY_HEX_BYTES];
    if (id->size == 0) {
        return POLLEN_OK;
    }
    if (id->size != POLLEN_KEY_HEX_BYTES - 1) {
        return POLLEN_ELIMIT;
    }
    memcpy(hex, id->data, id->size);
    hex[id->size] = '\0';
    event->reachability.has_peer = pollen_key_parse(hex, &event->reachability.peer) == POLLEN_OK;
    return event->reachability.has_peer ? POLLEN_OK : POLLEN_ELIMIT;
}

static void write_reachability(const pln_gossip_event *event, pln_out *out) {
    char hex[POLLEN_KEY_HEX_BYTES];
    if (event->reachability.has_peer) {
        pln_proto_put_string(out, 1, pollen_key_hex(&event->reachability.peer, hex));
    }
}

/* ---- RevocationChange: 1 revocation ---------------------------------------------------------- */

static pollen_err read_revocation(const pln_proto_message *msg, pln_gossip_event *event) {
    const pln_proto_slot *slot = &msg->slots[1];
    if (slot->size > PLN_CERT_BYTES_MAX) {
        return POLLEN_ELIMIT;
    }
    return pln_bytes_set(&event->revocation, slot->data, slot->size) ? POLLEN_OK : POLLEN_ENOMEM;
}

static void write_revocation(const pln_gossip_event *event, pln_out *out) {
    pln_proto_put_bytes(out, 1, event->revocation.data, event->revocation.size);
}

/* ---- PubliclyAccessibleChange: empty --------------------------------------------------------- */

static pollen_err read_public(const pln_proto_message *msg, pln_gossip_event *event) {
    (void)msg;
    (void)event;
    return POLLEN_OK;
}

static void write_public(const pln_gossip_event *event, pln_out *out) {
    (void)event;
    (void)out;
}

/* ---- All ------------------------------------------------------------------------------------- */

static const struct codec {
    pln_proto_schema schema;
    pollen_err (*read)(const pln_proto_message *msg, pln_gossip_event *event);
    void (*write)(const pln_gossip_event *event, pln_out *out);
} codecs[] = {
    [PLN_CHANGE_NETWORK] = {{.count = 3,
                             .kinds = {[1] = PLN_FIELD_REPEATED, [2] = PLN_FIELD_VARINT}},
                            read_network,
                            write_network},
    [PLN_CHANGE_EXTERNAL_PORT] = {{.count = 2, .kinds = {[1] = PLN_FIELD_VARINT}},
                                  read_external_port,
                                  write_external_port},
    [PLN_CHANGE_IDENTITY] = {{.count = 3, .kinds = {[1] = PLN_FIELD_BYTES, [2] = PLN_FIELD_VARINT}},
                             read_identity,
                             write_identity},
    [PLN_CHANGE_SERVICE] = {{.count = 3, .kinds = {[1] = PLN_FIELD_BYTES, [2] = PLN_FIELD_VARINT}},
                            read_service,
                            write_service},
    [PLN_CHANGE_REACHABILITY] = {{.count = 2, .kinds = {[1] = PLN_FIELD_BYTES}},
                                 read_reachability,
                                 write_reachability},
    [PLN_CHANGE_REVOCATION] = {{.count = 2, .kinds = {[1] = PLN_FIELD_MESSAGE}},
                               read_revocation,
                               write_revocation},
    [PLN_CHANGE_PUBLICLY_ACCESSIBLE] = {{.count = 1}, read_public, write_public},
};

pollen_err pln_change_read(pln_change_kind kind, const uint8_t *bytes, size_t size,
                           pln_gossip_event *event) {
    const struct codec *codec = &codecs[kind];
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&codec->schema, bytes, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    event->kind = kind;
    err = codec->read(&msg, event);
    pln_proto_message_fini(&msg);
    return err;
}

void pln_change_write(const pln_gossip_event *event, pln_out *out) {
    codecs[event->kind].write(event, out);
}

void pln_change_fini(pln_gossip_event *event) {
    if (event->kind == PLN_CHANGE_NETWORK) {
        for (size_t i = 0; i < event->network.ip_count; i++) {
            pln_free(event->network.ips[i]);
        }
        pln_free(event->network.ips);
    } else if (event->kind == PLN_CHANGE_SERVICE) {
        pln_free(event->service.name);
    } else if (event->kind == PLN_CHANGE_REVOCATION) {
        pln_bytes_fini(&event->revocation);
    }
    /* The union as a whole: its largest member is not the same everywhere. */
    pln_gossip_event empty = {
        .has_author = event->has_author,
        .author = event->author,
        .counter = event->counter,
        .deleted = event->deleted,
        .unknown = event->unknown,
    };
    *event = empty;
}
