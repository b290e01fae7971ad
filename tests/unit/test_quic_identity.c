/* SPDX-License-Identifier: Apache-2.0 */
/* Who may connect: certificates, keys and ALPNs, and the codes in which a refusal is told. */
#include <string.h>

#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "quic/internal.h"
#include "support/quic_fixture.h"
#include "support/vectors.h"

static int setup(void **state) {
    fixture *f = quic_fixture_start(state, 2);
    pln_quic_set_accept(f->b->quic, true, true);
    return 0;
}

static quic_conn *dialled(const fixture *f) {
    quic_conn *conn = pln_quic_conn_find(f->a->quic, f->a->conn);
    assert_non_null(conn);
    return conn;
}

static void dial(fixture *f, bool invite) {
    assert_int_equal(quic_node_dial(f->a, f->b, invite), POLLEN_OK);
}

static void run(fixture *f) {
    quic_pair_run(&f->pair, PLN_S(1));
}

static void assert_connected(const fixture *f, pln_alpn alpn) {
    assert_true(quic_node_connected(f->a));
    assert_true(quic_node_connected(f->b));
    assert_int_equal(quic_node_info(f->a).alpn, alpn);
    assert_int_equal(quic_node_info(f->b).alpn, alpn);
}

/* The dialler was never connected, and knows the code. */
static void assert_refused(const fixture *f, uint64_t code, pollen_err err) {
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_CONNECTED), 0);
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_CONNECTED), 0);
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_CLOSED), 1);
    assert_int_equal(f->a->closed.end, PLN_QUIC_END_TRANSPORT);
    assert_int_equal(f->a->closed.code, code);
    assert_int_equal(f->a->closed.err, err);
    assert_string_equal(f->a->closed.phrase, "");
}

/* ---- Verdicts -------------------------------------------------------------------------------- */

static void verify_sees_what_was_presented(void **state) {
    fixture *f = *state;
    dial(f, false);
    run(f);
    assert_int_equal(f->a->judged_count, 1);
    assert_int_equal(f->b->judged_count, 1);
    assert_false(f->a->judged.inbound);
    assert_true(f->b->judged.inbound);
    assert_int_equal(f->a->judged.alpn, PLN_ALPN_MESH_2);
    assert_int_equal(f->b->judged.alpn, PLN_ALPN_MESH_2);
    assert_memory_equal(f->a->judged.key.bytes, f->b->key.bytes, POLLEN_KEY_BYTES);
    assert_memory_equal(f->b->judged.key.bytes, f->a->key.bytes, POLLEN_KEY_BYTES);
    assert_int_equal(f->b->judged_cert_size, 354);
}

/* The client finishes its handshake before the server has seen its certificate: that is no
 * session. */
static void a_client_that_the_server_refuses_was_never_connected(void **state) {
    fixture *f = *state;
    f->b->verdict = POLLEN_EREVOKED;
    dial(f, false);
    run(f);
    assert_refused(f, 0x12a, POLLEN_EDENIED);
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_CLOSED), 1);
    assert_int_equal(f->b->closed.end, PLN_QUIC_END_VERIFY);
    assert_int_equal(f->b->closed.err, POLLEN_EREVOKED);
    assert_int_equal(f->b->closed.code, 0x12a);
}

static void a_server_that_the_client_refuses_is_told(void **state) {
    fixture *f = *state;
    f->a->verdict = POLLEN_ECLUSTER;
    dial(f, false);
    run(f);
    assert_int_equal(f->a->closed.end, PLN_QUIC_END_VERIFY);
    assert_int_equal(f->a->closed.err, POLLEN_ECLUSTER);
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_CONNECTED), 0);
    assert_int_equal(f->b->closed.end, PLN_QUIC_END_TRANSPORT);
    assert_int_equal(f->b->closed.code, 0x12a);
}

static void another_key_than_the_expected_one_is_refused_before_verify(void **state) {
    fixture *f = *state;
    assert_int_equal(
        pln_quic_dial(f->a->quic, &f->b->self, &(pollen_key){{9}}, false, f->pair.now, &f->a->conn),
        POLLEN_OK);
    run(f);
    assert_int_equal(f->a->closed.end, PLN_QUIC_END_VERIFY);
    assert_int_equal(f->a->closed.err, POLLEN_EIDENTITY);
    assert_int_equal(f->a->judged_count, 0);
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_CONNECTED), 0);
}

static void a_dialler_refuses_its_own_key(void **state) {
    fixture *f = *state;
    quic_node_options twin = {.seed_byte = 1};
    quic_node *c = quic_pair_add(&f->pair, &twin);
    assert_int_equal(quic_node_dial(f->a, c, false), POLLEN_OK);
    run(f);
    assert_int_equal(f->a->closed.end, PLN_QUIC_END_VERIFY);
    assert_int_equal(f->a->closed.err, POLLEN_EIDENTITY);
    assert_int_equal(f->a->judged_count, 0);
}

static void an_acceptor_refuses_its_own_key(void **state) {
    fixture *f = *state;
    quic_node_options twin = {.seed_byte = 1};
    quic_node *c = quic_pair_add(&f->pair, &twin);
    f->a->quic->key.bytes[0] ^= 1; /* The dialler does not recognise itself. */
    assert_int_equal(quic_node_dial(f->a, c, false), POLLEN_OK);
    run(f);
    assert_int_equal(c->closed.end, PLN_QUIC_END_VERIFY);
    assert_int_equal(c->closed.err, POLLEN_EIDENTITY);
    assert_int_equal(c->judged_count, 0);
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_CONNECTED), 0);
    assert_int_equal(f->a->closed.code, 0x12a);
}

static void a_new_identity_is_used_from_the_next_handshake_on(void **state) {
    fixture *f = *state;
    dial(f, false);
    /* Between ClientHello and the client's certificate. */
    quic_pair_settle(&f->pair);
    static const uint8_t next[100] = {42};
    assert_int_equal(pln_quic_set_identity(f->a->quic, next, sizeof(next), QUIC_PAIR_WALL),
                     POLLEN_OK);
    run(f);
    size_t size = 0;
    (void)pln_quic_peer_cert(f->b->quic, f->b->conn, &size);
    assert_int_equal(size, 354);
    dial(f, false);
    run(f);
    (void)pln_quic_peer_cert(f->b->quic, f->b->conn, &size);
    assert_int_equal(size, 100);
}

static void a_mesh_dial_needs_an_identity(void **state) {
    fixture *f = *state;
    quic_node_options options = {.no_identity = true};
    quic_node *c = quic_pair_add(&f->pair, &options);
    assert_int_equal(quic_node_dial(c, f->b, false), POLLEN_ENOTENROLLED);
    assert_int_equal(quic_node_dial(c, f->b, true), POLLEN_OK);
}

static void nobody_dials_what_cannot_be_sent_to(void **state) {
    fixture *f = *state;
    pln_path path = {.remote = pln_addr_ipv4((const uint8_t[]){0, 0, 0, 0}, 1)};
    pln_conn_id id = 0;
    assert_int_equal(pln_quic_dial(f->a->quic, &path, &f->b->key, false, f->pair.now, &id),
                     POLLEN_EADDR);
    path.remote = pln_addr_ipv4((const uint8_t[]){10, 0, 0, 2}, 0);
    assert_int_equal(pln_quic_dial(f->a->quic, &path, &f->b->key, false, f->pair.now, &id),
                     POLLEN_EADDR);
}

/* ---- Invites --------------------------------------------------------------------------------- */

static void an_invite_dial_presents_a_bare_certificate(void **state) {
    fixture *f = *state;
    dial(f, true);
    run(f);
    assert_connected(f, PLN_ALPN_INVITE);
    size_t size = 1;
    assert_null(pln_quic_peer_cert(f->a->quic, f->a->conn, &size));
    assert_int_equal(size, 0);
    assert_null(pln_quic_peer_cert(f->b->quic, f->b->conn, &size));
    assert_int_equal(f->b->judged.alpn, PLN_ALPN_INVITE);
    assert_int_equal(quic_node_send(f->a, 1000, 1), POLLEN_OK);
    assert_int_equal(quic_node_send(f->b, 1000, 1), POLLEN_OK);
    run(f);
    assert_int_equal(f->a->datagrams.count, 1);
    assert_int_equal(f->b->datagrams.count, 1);
}

static void an_invite_connection_carries_no_streams_of_the_guest(void **state) {
    fixture *f = *state;
    dial(f, true);
    run(f);
    int64_t id = -1;
    assert_int_equal(pln_quic_stream_open(f->a->quic, f->a->conn, &id), POLLEN_EAGAIN);
}

/* ---- ALPN ------------------------------------------------------------------------------------ */

/* Dials with a session that offers these names only, without MANDATORY, so that the server's
 * judgement is what is seen. */
static void dial_offering(fixture *f, bool invite, const char *first, const char *second) {
    const char *texts[] = {first, second};
    gnutls_datum_t names[2];
    unsigned count = 0;
    for (unsigned i = 0; i < 2 && texts[i] != NULL; i++) {
        names[count].data = (unsigned char *)texts[i];
        names[count++].size = (unsigned)strlen(texts[i]);
    }
    dial(f, invite);
    quic_conn *conn = dialled(f);
    pln_quic_tls_close(conn);
    pln_quic *quic = conn->quic;
    assert_int_equal(gnutls_init(&conn->tls, GNUTLS_CLIENT | GNUTLS_NO_END_OF_EARLY_DATA), 0);
    gnutls_session_set_ptr(conn->tls, &conn->ref);
    gnutls_session_set_verify_function(conn->tls, pln_quic_verify_peer);
    gnutls_certificate_credentials_t creds = invite ? quic->bare->creds : quic->mesh->creds;
    assert_int_equal(gnutls_priority_set(conn->tls, quic->priority), 0);
    assert_int_equal(gnutls_credentials_set(conn->tls, GNUTLS_CRD_CERTIFICATE, creds), 0);
    if (count > 0) {
        assert_int_equal(gnutls_alpn_set_protocols(conn->tls, names, count, 0), 0);
    }
    assert_int_equal(ngtcp2_crypto_gnutls_configure_client_session(conn->tls), 0);
    ngtcp2_conn_set_tls_native_handle(conn->ng, conn->tls);
}

/* ---- Large first flights ------------------------------------------------------------------- */

static int no_receive(gnutls_session_t session, const unsigned char *data, size_t size) {
    (void)session;
    (void)data;
    (void)size;
    return 0;
}

static int send_filling(gnutls_session_t session, gnutls_buffer_t out) {
    static const uint8_t filling[1200];
    (void)session;
    return gnutls_buffer_append_data(out, filling, sizeof(filling)) == 0 ? (int)sizeof(filling)
                                                                         : GNUTLS_E_MEMORY_ERROR;
}

/* As with the reference's post-quantum key share, the ClientHello fills more than one packet. */
static void dial_with_large_hello(fixture *f) {
    dial(f, false);
    assert_int_equal(
        gnutls_session_ext_register(dialled(f)->tls, "filling", 0xfa57, GNUTLS_EXT_TLS, no_receive,
                                    send_filling, NULL, NULL, NULL,
                                    GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO),
        0);
}

static void a_client_hello_of_two_packets_is_put_together(void **state) {
    fixture *f = *state;
    dial_with_large_hello(f);
    quic_pair_settle(&f->pair);
    assert_int_equal(f->a->sent_packets, 2);
    run(f);
    assert_connected(f, PLN_ALPN_MESH_2);
}

static bool lose_first(quic_pair *pair, quic_node *from, pln_datagram *packet, uint8_t *data) {
    (void)pair;
    (void)packet;
    (void)data;
    return from->index != 0 || from->sent_packets != 1;
}

/* Nothing is kept for an address that only sent the second half: it is asked to prove itself. */
static void a_second_half_that_comes_alone_is_answered_with_a_retry(void **state) {
    fixture *f = *state;
    f->pair.filter = lose_first;
    dial_with_large_hello(f);
    quic_pair_run(&f->pair, PLN_S(3));
    assert_connected(f, PLN_ALPN_MESH_2);
    pln_quic_stats stats;
    pln_quic_get_stats(f->b->quic, &stats);
    assert_int_equal(stats.retries_sent, 1);
    assert_int_equal(stats.handshakes, 0);
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_CLOSED), 0);
}

/* The ALPN cases that the reference was asked; "pollen/2" alone is ours to accept. */
static void the_server_chooses_as_the_reference_does(void **state) {
    (void)state;
    json_t *file = vectors_load("handshake");
    size_t i = 0;
    size_t seen = 0;
    json_t *row = NULL;
    json_array_foreach(json_object_get(file, "cases"), i, row) {
        const char *id = vectors_text(row, "id");
        if (strncmp(id, "alpn-", 5) != 0 || strcmp(id, "alpn-version-2") == 0) {
            continue;
        }
        seen++;
        fixture f;
        quic_pair_init(&f.pair, 3);
        f.a = quic_pair_add(&f.pair, NULL);
        f.b = quic_pair_add(&f.pair, NULL);
        pln_quic_set_accept(f.b->quic, true, json_is_true(json_object_get(row, "invites_enabled")));
        const char *negotiated = json_string_value(json_object_get(row, "negotiated"));
        bool invite = negotiated != NULL && strcmp(negotiated, "pollen-invite/1") == 0;
        const json_t *list = json_object_get(row, "alpn");
        dial_offering(&f, invite, json_string_value(json_array_get(list, 0)),
                      json_string_value(json_array_get(list, 1)));
        run(&f);
        if (negotiated != NULL) {
            assert_connected(&f, invite ? PLN_ALPN_INVITE : PLN_ALPN_MESH_1);
        } else {
            assert_refused(&f, 0x178, POLLEN_EVERSION);
            assert_int_equal(f.b->closed.end, PLN_QUIC_END_ERROR);
            assert_int_equal(f.b->closed.err, POLLEN_EVERSION);
        }
        quic_pair_fini(&f.pair);
    }
    assert_int_equal(seen, 8);
    json_decref(file);
}

static void two_nodes_prefer_pollen_2_in_any_order(void **state) {
    fixture *f = *state;
    dial_offering(f, false, "pollen/1", "pollen/2");
    run(f);
    assert_connected(f, PLN_ALPN_MESH_2);
}

static void a_reference_client_gets_pollen_1(void **state) {
    fixture *f = *state;
    quic_node_options options = {.config = {.only_mesh_1 = true}};
    quic_node *c = quic_pair_add(&f->pair, &options);
    f->a = c;
    dial(f, false);
    run(f);
    assert_connected(f, PLN_ALPN_MESH_1);
}

static void a_reference_server_gives_pollen_1(void **state) {
    fixture *f = *state;
    quic_node_options options = {.config = {.only_mesh_1 = true}};
    f->b = quic_pair_add(&f->pair, &options);
    dial(f, false);
    run(f);
    assert_connected(f, PLN_ALPN_MESH_1);
}

static void an_invite_needs_a_server_that_takes_invites(void **state) {
    fixture *f = *state;
    pln_quic_set_accept(f->b->quic, true, false);
    dial(f, true);
    run(f);
    assert_refused(f, 0x178, POLLEN_EVERSION);
}

static void who_accepts_nothing_says_so_at_once(void **state) {
    fixture *f = *state;
    pln_quic_set_accept(f->b->quic, false, false);
    dial(f, false);
    run(f);
    assert_refused(f, 0x2, POLLEN_EDENIED);
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_CLOSED), 0);
}

/* ---- Bad certificates ------------------------------------------------------------------------ */

/* A chain of the client's own making, under its own key. */
typedef struct chain {
    gnutls_pcert_st certs[2];
    int count;
} chain;

static gnutls_privkey_t private_key(const quic_node *node) {
    gnutls_datum_t x = {(unsigned char *)node->key.bytes, 32};
    gnutls_datum_t k = {(unsigned char *)node->seed.bytes, 32};
    gnutls_privkey_t key;
    assert_int_equal(gnutls_privkey_init(&key), 0);
    assert_int_equal(gnutls_privkey_import_ecc_raw(key, GNUTLS_ECC_CURVE_ED25519, &x, NULL, &k), 0);
    return key;
}

static pln_bytes make_certificate(const quic_node *node) {
    static const uint8_t member[] = "member";
    pln_x509_fields fields = {.key = node->key,
                              .not_before = 0,
                              .not_after = 1,
                              .member_cert = member,
                              .member_cert_size = sizeof(member)};
    gnutls_privkey_t key = private_key(node);
    pln_bytes der = {NULL, 0};
    assert_int_equal(pln_x509_make(&fields, key, &der), POLLEN_OK);
    gnutls_privkey_deinit(key);
    return der;
}

static void add(chain *c, const pln_bytes *der) {
    gnutls_datum_t datum = {der->data, (unsigned)der->size};
    assert_int_equal(
        gnutls_pcert_import_x509_raw(&c->certs[c->count++], &datum, GNUTLS_X509_FMT_DER, 0), 0);
}

/* Other bytes in the place of a certificate that GnuTLS had to be able to read. */
static void falsify(gnutls_pcert_st *cert, const uint8_t *bytes, size_t size) {
    gnutls_free(cert->cert.data);
    cert->cert.data = gnutls_malloc(size);
    memcpy(cert->cert.data, bytes, size);
    cert->cert.size = (unsigned)size;
}

/* GnuTLS has copied the list's head: what it will send is the buffer that we find again here, which
 * can be overwritten in place. */
static void overwrite(const chain *c, const uint8_t *bytes, size_t size) {
    assert_true(size <= c->certs[0].cert.size);
    memcpy(c->certs[0].cert.data, bytes, size);
}

/* Dials with this chain (none when empty). */
static gnutls_certificate_credentials_t dial_with(fixture *f, chain *c, const quic_node *signer) {
    gnutls_certificate_credentials_t creds;
    assert_int_equal(gnutls_certificate_allocate_credentials(&creds), 0);
    gnutls_certificate_set_flags(creds, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
    if (c->count > 0) {
        assert_true(gnutls_certificate_set_key(creds, NULL, 0, c->certs, c->count,
                                               private_key(signer)) >= 0);
    }
    dial(f, false);
    assert_int_equal(gnutls_credentials_set(dialled(f)->tls, GNUTLS_CRD_CERTIFICATE, creds), 0);
    return creds;
}

static void refused_with(fixture *f, chain *c, const quic_node *signer, uint64_t code) {
    gnutls_certificate_credentials_t creds = dial_with(f, c, signer);
    run(f);
    assert_refused(f, code, POLLEN_EDENIED);
    gnutls_certificate_free_credentials(creds);
}

static void a_client_certificate_is_required(void **state) {
    fixture *f = *state;
    chain c = {.count = 0};
    refused_with(f, &c, f->a, 0x174);
}

static void damaged(fixture *f, size_t at, uint8_t value) {
    pln_bytes der = make_certificate(f->a);
    chain c = {.count = 0};
    add(&c, &der);
    gnutls_certificate_credentials_t creds = dial_with(f, &c, f->a);
    der.data[at] = value;
    overwrite(&c, der.data, der.size);
    run(f);
    assert_refused(f, 0x132, POLLEN_EDENIED);
    gnutls_certificate_free_credentials(creds);
    pln_bytes_fini(&der);
}

static void garbage_is_no_certificate(void **state) {
    damaged(*state, 0, 0x01);
}

static void bytes_after_the_certificate_are_refused(void **state) {
    fixture *f = *state;
    pln_bytes der = make_certificate(f->a);
    size_t length = (size_t)der.data[2] << 8 | der.data[3];
    pln_bytes_fini(&der);
    damaged(f, 3, (uint8_t)(length - 1)); /* The last byte is behind it now. */
}

static void a_negative_serial_is_refused(void **state) {
    /* Tag, length, value of the serial (0 here) come behind both SEQUENCEs and the version. */
    damaged(*state, 4 + 4 + 5 + 2, 0x80);
}

static void a_second_certificate_is_ignored(void **state) {
    fixture *f = *state;
    pln_bytes der = make_certificate(f->a);
    chain c = {.count = 0};
    add(&c, &der);
    add(&c, &der);
    gnutls_certificate_credentials_t creds = dial_with(f, &c, f->a);
    run(f);
    assert_connected(f, PLN_ALPN_MESH_2);
    gnutls_certificate_free_credentials(creds);
    pln_bytes_fini(&der);
}

static void but_it_must_be_one(void **state) {
    fixture *f = *state;
    pln_bytes der = make_certificate(f->a);
    chain c = {.count = 0};
    add(&c, &der);
    add(&c, &der);
    falsify(&c.certs[1], (const uint8_t *)"\x01\x02\x03", 3);
    refused_with(f, &c, f->a, 0x132);
    pln_bytes_fini(&der);
}

static void a_certificate_of_another_key_is_refused(void **state) {
    fixture *f = *state;
    quic_node *c = quic_pair_add(&f->pair, NULL);
    pln_bytes der = make_certificate(c);
    chain stolen = {.count = 0};
    add(&stolen, &der);
    refused_with(f, &stolen, f->a, 0x133);
    pln_bytes_fini(&der);
}

static void dates_and_self_signature_are_not_judged(void **state) {
    fixture *f = *state;
    pln_bytes der = make_certificate(f->a); /* Long expired. */
    der.data[der.size - 1] ^= 1;
    chain c = {.count = 0};
    add(&c, &der);
    gnutls_certificate_credentials_t creds = dial_with(f, &c, f->a);
    run(f);
    assert_connected(f, PLN_ALPN_MESH_2);
    gnutls_certificate_free_credentials(creds);
    pln_bytes_fini(&der);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(verify_sees_what_was_presented),
        TEST(a_client_that_the_server_refuses_was_never_connected),
        TEST(a_server_that_the_client_refuses_is_told),
        TEST(another_key_than_the_expected_one_is_refused_before_verify),
        TEST(a_dialler_refuses_its_own_key),
        TEST(an_acceptor_refuses_its_own_key),
        TEST(a_new_identity_is_used_from_the_next_handshake_on),
        TEST(a_mesh_dial_needs_an_identity),
        TEST(nobody_dials_what_cannot_be_sent_to),
        TEST(an_invite_dial_presents_a_bare_certificate),
        TEST(an_invite_connection_carries_no_streams_of_the_guest),
        TEST(a_client_hello_of_two_packets_is_put_together),
        TEST(a_second_half_that_comes_alone_is_answered_with_a_retry),
        TEST(two_nodes_prefer_pollen_2_in_any_order),
        TEST(a_reference_client_gets_pollen_1),
        TEST(a_reference_server_gives_pollen_1),
        TEST(an_invite_needs_a_server_that_takes_invites),
        TEST(who_accepts_nothing_says_so_at_once),
        TEST(a_client_certificate_is_required),
        TEST(garbage_is_no_certificate),
        TEST(bytes_after_the_certificate_are_refused),
        TEST(a_negative_serial_is_refused),
        TEST(a_second_certificate_is_ignored),
        TEST(but_it_must_be_one),
        TEST(a_certificate_of_another_key_is_refused),
        TEST(dates_and_self_signature_are_not_judged),
        cmocka_unit_test(the_server_chooses_as_the_reference_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
