/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the modelled QUIC: quic/quic.h without TLS and without a congestion window, so that
 * thousands of nodes fit a process and a handshake costs microseconds.  Everything above it is the
 * real thing: the mesh with its tie-break, the node, the peer store, gossip.
 *
 * Modelled: the handshake's flights and their repetition, the judgement of certificates on both
 * sides, Retry and the limits on strangers, acknowledgements and probe timeouts, keep-alive, idle
 * timeout, closes that are repeated to late packets, stateless resets, path validation after a
 * change of address, the search for a larger MTU.  Not modelled: streams, pacing, proofs: a packet
 * is believed when its checksum is right.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "base/bytes.h"
#include "base/heap.h"
#include "quic/admit.h"
#include "quic/quic.h"

/* As the real thing's. */
enum { MODEL_ANSWER_PARTS = 2 };
enum { MODEL_HELLO_BYTES = 1200, MODEL_MTU_FIRST = 1200, MODEL_DATA_BYTES_MIN = 34 };
enum { MODEL_ACK_BYTES = 16, MODEL_DATAGRAM_OVERHEAD = 32, MODEL_PACKET_BYTES_MAX = 1472 };
#define MODEL_FIRST_PTO PLN_MS(300)
#define MODEL_ACK_DELAY PLN_MS(25)

enum {
    MODEL_CODE_REFUSED = 0x2,
    MODEL_CODE_APPLICATION = 0xc,
    MODEL_CODE_BAD_CERTIFICATE = 0x12a,
    MODEL_CODE_NO_ALPN = 0x178,
};

/* ---- Packets (model_packet.c) ---------------------------------------------------------------- */

/* The first byte: the two upper bits tell QUIC from probes, as in the real thing. */
typedef enum model_type {
    MODEL_HELLO = 0xc1,
    MODEL_ANSWER = 0xc2,
    MODEL_FINISH = 0xc3,
    MODEL_REFUSE = 0xc4,
    MODEL_RETRY = 0xc5,
    MODEL_DATA = 0x41,
    MODEL_RESET = 0x42,
} model_type;

enum {
    MODEL_F_ACK = 1,
    MODEL_F_PING = 2,
    MODEL_F_DONE = 4,
    MODEL_F_CLOSE = 8,
    MODEL_F_CHALLENGE = 16,
    MODEL_F_RESPONSE = 32,
};

/* All that any packet can say. */
typedef struct model_packet {
    model_type type;
    uint64_t dcid, scid;
    /* HELLO, ANSWER, FINISH */
    pollen_key key;
    uint8_t alpns; /* 1 << pln_alpn, offered or chosen. */
    uint8_t part;  /* HELLO: 1 after a Retry.  ANSWER: which of its two packets. */
    const uint8_t *cert;
    size_t cert_size;
    /* DATA */
    uint32_t number;
    uint8_t flags;
    uint32_t acked;
    uint64_t acked_mask;
    uint32_t ack_delay_us;
    uint64_t token; /* CHALLENGE, RESPONSE */
    uint64_t code;  /* CLOSE, REFUSE */
    const char *phrase;
    size_t phrase_size;
    const uint8_t *datagrams; /* Each with its length before it, up to a length of 0. */
    size_t datagrams_size;
} model_packet;

/* Writes all but the datagrams, which follow at the returned size. */
size_t model_packet_write(const model_packet *packet, uint8_t *buf);

/* Appends a datagram; returns the new size. */
size_t model_packet_append(uint8_t *buf, size_t size, const pln_chunk *chunk);

/* Pads to at least min bytes and seals with the checksum; returns the size. */
size_t model_packet_seal(uint8_t *buf, size_t size, size_t min);

/* False: not one of ours, or corrupted.  Borrows from data. */
bool model_packet_read(const uint8_t *data, size_t size, model_packet *ret);

/* The next of the datagrams; false when there is none. */
bool model_packet_next(model_packet *packet, const uint8_t **ret_data, size_t *ret_size);

/* ---- Connections ----------------------------------------------------------------------------- */

typedef enum model_state {
    MODEL_DIALLING,  /* Dialler: HELLO sent. */
    MODEL_FINISHING, /* Dialler: knows the peer, waits for its confirmation. */
    MODEL_ANSWERED,  /* Acceptor: does not know the peer yet. */
    MODEL_LIVE,
    MODEL_CLOSING,  /* Answers late packets with its close. */
    MODEL_DRAINING, /* Is silent to them. */
    MODEL_GONE,     /* Not on the wire any more. */
} model_state;

typedef struct model_outgoing {
    struct model_outgoing *next;
    pln_chunk *chunk;
    uint64_t tag;
} model_outgoing;

typedef struct model_tag {
    uint32_t number;
    uint64_t tag;
} model_tag;

typedef struct model_conn {
    pln_quic *quic;
    pln_conn_id id; /* 0: the owner knows it no longer. */
    uint32_t slot;
    model_state state;
    bool inbound, invite, proven, connected;
    pln_alpn alpn;
    unsigned answer_parts; /* Dialler: bits of those that came. */
    uint64_t cid, peer_cid;
    pollen_key peer;
    pln_bytes cert;
    pln_path path, old_path;
    pln_ts started_at, connected_at;

    /* What is to be sent.  In a handshake `speak` counts the packets left of the flight. */
    bool ready, want_ping, want_ack, want_challenge, want_response;
    unsigned speak;
    struct model_conn *ready_prev, *ready_next;
    struct model_conn *half_prev, *half_next; /* ANSWERED, oldest first. */
    model_outgoing *tx_head, *tx_tail;
    size_t tx_count;

    /* Loss. */
    uint32_t next_number;
    uint32_t eliciting; /* The newest packet that is to be acknowledged; 0: none. */
    pln_ts eliciting_at;
    unsigned pto_count;
    uint32_t timed; /* The packet whose round trip is measured; 0: none. */
    pln_ts timed_at;
    pln_dur srtt, rttvar;
    bool confirmed; /* Acceptor: the dialler knows. */
    model_tag *tags;
    size_t tag_count, tag_cap;
    size_t mtu;
    unsigned probe, probe_tries;
    uint32_t probe_number;
    pln_ts probe_at; /* When to send the next one. */

    /* What came. */
    uint32_t rx_largest;
    uint64_t rx_mask; /* Bit n: rx_largest - n - 1. */
    unsigned rx_unacked;
    pln_ts rx_largest_at;
    pln_ts ack_at;
    pln_ts last_rx_at, idle_from, quiet_from;
    bool spoke_since; /* Sent something to be acknowledged since the last packet came. */

    uint64_t challenge, response;
    unsigned challenge_tries; /* 0: none under way. */
    pln_ts challenge_at;

    char *close_phrase; /* Of our close; NULL: a REFUSE. */
    uint64_t close_code;
    bool close_due;
    uint64_t close_heard;
    pln_ts linger_until;

    pln_timer timer;
    uint64_t bytes_in, bytes_out, datagrams_in, datagrams_out;
} model_conn;

typedef struct model_event {
    struct model_event *next;
    pln_quic_event event;
} model_event;

typedef struct model_stray {
    struct model_stray *next;
    pln_path path;
    model_packet packet;
} model_stray;

typedef struct model_slot {
    model_conn *conn;
    uint32_t generation;
    uint32_t next_free;
} model_slot;

struct pln_quic {
    pln_quic_config config;
    pollen_key key;
    pln_bytes cert;
    bool has_cert;
    pln_now now;
    model_slot *slots;
    uint32_t slot_cap, slot_free;
    model_conn *ready, *half_open;
    model_event *event_head, *event_tail;
    model_stray *strays, *strays_tail;
    size_t stray_count;
    pln_heap timers;
    pln_hash_key hash_key;
    pln_meters *admit, *admit_proven;
    pln_ts reset_at;
    bool reset_ever;
    pln_quic_stats stats;
};

/* ---- model_endpoint.c ------------------------------------------------------------------------ */

model_conn *model_conn_new(pln_quic *quic, const pln_path *path, bool inbound);
model_conn *model_conn_find(const pln_quic *quic, pln_conn_id id);
void model_conn_free(model_conn *conn);
void model_ready(model_conn *conn);
void model_speak(model_conn *conn); /* The flight of its state is to be sent. */
void model_unready(model_conn *conn);
/* The event's conn is filled in. */
void model_push_event(model_conn *conn, const pln_quic_event *event);
void model_push_stray(pln_quic *quic, const pln_path *path, const model_packet *packet);

/* ---- model_conn.c ---------------------------------------------------------------------------- */

pln_dur model_pto(const model_conn *conn);
/* Takes a packet that is for this connection. */
void model_conn_receive(model_conn *conn, const pln_datagram *datagram, model_packet *packet);
void model_conn_expire(model_conn *conn);
/* Writes one packet; 0: there is nothing more to say now. */
size_t model_conn_write(model_conn *conn, uint8_t *buf);
void model_conn_set_timer(model_conn *conn);
/* Ends it for its owner, who is told; what stays on the wire is `then`.  May free it. */
void model_conn_end(model_conn *conn, const pln_quic_closed *closed, model_state then);
/* Nothing of it stays on the wire.  May free it. */
void model_conn_leave(model_conn *conn);
/* Says so to the peer; NULL: a transport error. */
void model_conn_close(model_conn *conn, uint64_t code, const char *phrase);

#endif
