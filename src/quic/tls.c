/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.3 through GnuTLS.  A session serves one handshake: no tickets, no early data, no PSK, so
 * that every connection passes the peer's certificate through verify.c, and nothing is needed of it
 * afterwards.
 */
#include <string.h>

#include <gnutls/crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "base/mem.h"
#include "quic/internal.h"

/* AES-128-GCM first: in GnuTLS, ChaCha20 costs two and a half times as much.  Only Ed25519 may
 * sign. */
static const char PRIORITY[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-SECP521R1:"
    "-SIGN-ALL:+SIGN-EDDSA-ED25519:%DISABLE_TLS13_COMPAT_MODE:%SERVER_PRECEDENCE";

#define DEFAULT_TTL_SECONDS (10LL * 365 * 86400)
#define BACKDATE_SECONDS 3600

/* ---- Secrets and credentials ----------------------------------------------------------------- */

bool pln_quic_derive(const pollen_seed *seed, const char *label, uint8_t *secret, size_t size) {
    static const char salt_text[] = "pollen quic v1";
    uint8_t prk[32];
    gnutls_datum_t key = {(unsigned char *)seed->bytes, sizeof(seed->bytes)};
    gnutls_datum_t salt = {(unsigned char *)salt_text, sizeof(salt_text) - 1};
    gnutls_datum_t prk_datum = {prk, sizeof(prk)};
    gnutls_datum_t info = {(unsigned char *)label, (unsigned)strlen(label)};
    bool ok = gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &key, &salt, prk) == 0 &&
              gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &prk_datum, &info, secret, size) == 0;
    gnutls_memset(prk, 0, sizeof(prk));
    return ok;
}

/* Owner: the caller's, to gnutls_privkey_deinit(). */
static pollen_err load_key(const pln_quic *quic, gnutls_privkey_t *ret) {
    gnutls_datum_t x = {(unsigned char *)quic->key.bytes, sizeof(quic->key.bytes)};
    gnutls_datum_t k = {(unsigned char *)quic->seed.bytes, sizeof(quic->seed.bytes)};
    gnutls_privkey_t key = NULL;
    if (gnutls_privkey_init(&key) != 0) {
        return POLLEN_ENOMEM;
    }
    if (gnutls_privkey_import_ecc_raw(key, GNUTLS_ECC_CURVE_ED25519, &x, NULL, &k) != 0) {
        gnutls_privkey_deinit(key);
        return POLLEN_EKEY;
    }
    *ret = key;
    return POLLEN_OK;
}

pollen_err pln_quic_tls_init(pln_quic *quic, pln_wall now) {
    pollen_err err = load_key(quic, &quic->privkey);
    if (err != POLLEN_OK) {
        return err;
    }
    if (gnutls_priority_init(&quic->priority, PRIORITY, NULL) != 0) {
        quic->priority = NULL;
        return POLLEN_ESYS;
    }
    return pln_quic_identity_create(quic, NULL, 0, now, &quic->bare);
}

void pln_quic_tls_fini(pln_quic *quic) {
    pln_quic_identity_unref(quic->mesh);
    pln_quic_identity_unref(quic->bare);
    if (quic->priority != NULL) {
        gnutls_priority_deinit(quic->priority);
    }
    if (quic->privkey != NULL) {
        gnutls_privkey_deinit(quic->privkey);
    }
}

void pln_quic_identity_unref(quic_identity *identity) {
    if (identity == NULL || --identity->refs > 0) {
        return;
    }
    gnutls_certificate_free_credentials(identity->creds);
    pln_free(identity);
}

/* On success the credentials own the certificate's content and the key, on failure neither. */
static bool set_certificate(gnutls_certificate_credentials_t creds, const pln_bytes *der,
                            const pln_quic *quic) {
    gnutls_datum_t certificate = {der->data, (unsigned)der->size};
    gnutls_pcert_st pcert;
    gnutls_privkey_t key = NULL;
    if (gnutls_pcert_import_x509_raw(&pcert, &certificate, GNUTLS_X509_FMT_DER, 0) != 0) {
        return false;
    }
    if (load_key(quic, &key) == POLLEN_OK) {
        if (gnutls_certificate_set_key(creds, NULL, 0, &pcert, 1, key) >= 0) {
            return true;
        }
        gnutls_privkey_deinit(key);
    }
    gnutls_pcert_deinit(&pcert);
    return false;
}

static pollen_err make_certificate(pln_quic *quic, const uint8_t *member_cert, size_t size,
                                   pln_wall now, pln_bytes *ret_der) {
    int64_t ttl = quic->config.tls_identity_ttl_seconds;
    if (ttl <= 0) {
        ttl = DEFAULT_TTL_SECONDS;
    }
    pln_x509_fields fields = {.key = quic->key,
                              .not_before = now - BACKDATE_SECONDS,
                              .member_cert = member_cert,
                              .member_cert_size = size};
    /* Year 9999 is the last one that X.509 can write. */
    const int64_t last = 253402300799;
    fields.not_after = now > last - ttl ? last : now + ttl;
    pln_rng_fill(&quic->config.rng, fields.serial, sizeof(fields.serial));
    return pln_x509_make(&fields, quic->privkey, ret_der);
}

pollen_err pln_quic_identity_create(pln_quic *quic, const uint8_t *member_cert, size_t size,
                                    pln_wall now, quic_identity **ret) {
    pln_bytes der = {NULL, 0};
    pollen_err err = make_certificate(quic, member_cert, size, now, &der);
    if (err != POLLEN_OK) {
        return err;
    }
    quic_identity *identity = pln_calloc(1, sizeof(*identity));
    err = POLLEN_ENOMEM;
    if (identity == NULL || gnutls_certificate_allocate_credentials(&identity->creds) != 0) {
        goto fail;
    }
    if (!set_certificate(identity->creds, &der, quic)) {
        gnutls_certificate_free_credentials(identity->creds);
        goto fail;
    }
    pln_bytes_fini(&der);
    identity->refs = 1;
    *ret = identity;
    return POLLEN_OK;

fail:
    pln_free(identity);
    pln_bytes_fini(&der);
    return err;
}

/* ---- ALPN ------------------------------------------------------------------------------------ */

#define ALPN_DATUM(text) ((gnutls_datum_t){(unsigned char *)(text), sizeof(text) - 1})

static const struct {
    const char *name;
    pln_alpn alpn;
} ALPNS[] = {
    {"pollen/1", PLN_ALPN_MESH_1},
    {"pollen/2", PLN_ALPN_MESH_2},
    {"pollen-invite/1", PLN_ALPN_INVITE},
};

pln_alpn pln_quic_tls_alpn(gnutls_session_t session) {
    gnutls_datum_t name = {NULL, 0};
    if (gnutls_alpn_get_selected_protocol(session, &name) != 0) {
        return PLN_ALPN_NONE;
    }
    for (size_t i = 0; i < sizeof(ALPNS) / sizeof(ALPNS[0]); i++) {
        size_t size = strlen(ALPNS[i].name);
        if (name.size == size && memcmp(name.data, ALPNS[i].name, size) == 0) {
            return ALPNS[i].alpn;
        }
    }
    return PLN_ALPN_NONE;
}

bool pln_quic_alpn_allowed(const quic_conn *conn, pln_alpn alpn) {
    return conn->invite ? alpn == PLN_ALPN_INVITE
                        : alpn == PLN_ALPN_MESH_1 || alpn == PLN_ALPN_MESH_2;
}

/* In our order of preference, which on the server decides: the invite ALPN wins wherever it is
 * served. */
static int set_alpn(quic_conn *conn) {
    const pln_quic_config *config = &conn->quic->config;
    bool invite = conn->inbound ? config->accept_invites : conn->invite;
    bool mesh = conn->inbound ? config->accept_mesh && conn->quic->mesh != NULL : !conn->invite;
    gnutls_datum_t names[3];
    unsigned count = 0;
    if (invite) {
        names[count++] = ALPN_DATUM("pollen-invite/1");
    }
    if (mesh && !config->only_mesh_1) {
        names[count++] = ALPN_DATUM("pollen/2");
    }
    if (mesh) {
        names[count++] = ALPN_DATUM("pollen/1");
    }
    return gnutls_alpn_set_protocols(conn->tls, names, count,
                                     GNUTLS_ALPN_MANDATORY | GNUTLS_ALPN_SERVER_PRECEDENCE);
}

/* ---- The session ----------------------------------------------------------------------------- */

static ngtcp2_conn *get_conn(ngtcp2_crypto_conn_ref *ref) {
    const quic_conn *conn = ref->user_data;
    return conn->ng;
}

static quic_conn *session_conn(gnutls_session_t session) {
    const ngtcp2_crypto_conn_ref *ref = gnutls_session_get_ptr(session);
    return ref->user_data;
}

/* An invite connection is authenticated by nothing but a throw-away key: it carries datagrams, no
 * streams.  How many there may be is the owner's to judge once they are connected; until then they
 * count among the handshakes, or a few first packets from anywhere would take all their places. */
static bool admit_invite(quic_conn *conn) {
    conn->invite = true;
    ngtcp2_transport_params params = *ngtcp2_conn_get_local_transport_params(conn->ng);
    params.initial_max_streams_bidi = 0;
    params.initial_max_streams_uni = 0;
    params.initial_max_data = 0;
    return ngtcp2_conn_set_local_transport_params(conn->ng, &params) == 0;
}

/* The client's offer is known and the certificate not yet chosen: a hook on ClientHello itself
 * would run after that choice. */
static int on_client_hello(gnutls_session_t session) {
    quic_conn *conn = session_conn(session);
    pln_alpn alpn = pln_quic_tls_alpn(session);
    if (alpn == PLN_ALPN_NONE) {
        return GNUTLS_E_NO_APPLICATION_PROTOCOL;
    }
    conn->alpn = alpn;
    if (alpn == PLN_ALPN_INVITE) {
        if (!admit_invite(conn)) {
            return GNUTLS_E_USER_ERROR;
        }
        return gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, conn->quic->bare->creds);
    }
    return 0;
}

static int configure(quic_conn *conn) {
    gnutls_session_t tls = conn->tls;
    pln_quic *quic = conn->quic;
    quic_identity *identity = conn->identity != NULL ? conn->identity : quic->bare;

    gnutls_session_set_ptr(tls, &conn->ref);
    gnutls_session_set_verify_function(tls, pln_quic_verify_peer);
    gnutls_handshake_set_timeout(tls, GNUTLS_INDEFINITE_TIMEOUT); /* It would read the clock. */
    if (gnutls_priority_set(tls, quic->priority) != 0 ||
        gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, identity->creds) != 0 ||
        set_alpn(conn) != 0) {
        return -1;
    }
    if (!conn->inbound) {
        return ngtcp2_crypto_gnutls_configure_client_session(tls);
    }
    gnutls_certificate_server_set_request(tls, GNUTLS_CERT_REQUIRE);
    gnutls_handshake_set_post_client_hello_function(tls, on_client_hello);
    return ngtcp2_crypto_gnutls_configure_server_session(tls);
}

bool pln_quic_tls_open(quic_conn *conn) {
    unsigned flags = (conn->inbound ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NO_TICKETS |
                     GNUTLS_NO_AUTO_SEND_TICKET | GNUTLS_NO_END_OF_EARLY_DATA;
    conn->ref = (ngtcp2_crypto_conn_ref){.get_conn = get_conn, .user_data = conn};
    if (gnutls_init(&conn->tls, flags) != 0) {
        conn->tls = NULL;
        return false;
    }
    if (!conn->invite && conn->quic->mesh != NULL) {
        conn->identity = conn->quic->mesh;
        conn->identity->refs++;
    }
    if (configure(conn) != 0) {
        pln_quic_tls_close(conn);
        return false;
    }
    ngtcp2_conn_set_tls_native_handle(conn->ng, conn->tls);
    return true;
}

void pln_quic_tls_close(quic_conn *conn) {
    if (conn->tls != NULL) {
        if (conn->ng != NULL) {
            ngtcp2_conn_set_tls_native_handle(conn->ng, NULL);
        }
        gnutls_deinit(conn->tls);
        conn->tls = NULL;
    }
    pln_quic_identity_unref(conn->identity);
    conn->identity = NULL;
}

/* ---- The handshake --------------------------------------------------------------------------- */

/* The alerts that the reference sends, where GnuTLS would choose others. */
static uint8_t alert_for(const quic_conn *conn, int error) {
    if (conn->alert != 0) {
        return conn->alert;
    }
    if (conn->refusal != POLLEN_OK) {
        return GNUTLS_A_BAD_CERTIFICATE;
    }
    switch (error) {
    case GNUTLS_E_ASN1_DER_ERROR:
    case GNUTLS_E_ASN1_DER_OVERFLOW:
    case GNUTLS_E_ASN1_TAG_ERROR:
    case GNUTLS_E_ASN1_TAG_IMPLICIT:
    case GNUTLS_E_ASN1_GENERIC_ERROR:
    case GNUTLS_E_ASN1_ELEMENT_NOT_FOUND:
    case GNUTLS_E_ASN1_VALUE_NOT_FOUND:
    case GNUTLS_E_ASN1_VALUE_NOT_VALID:
    case GNUTLS_E_ASN1_TYPE_ANY_ERROR:
    case GNUTLS_E_ASN1_SYNTAX_ERROR:
    case GNUTLS_E_X509_DUPLICATE_EXTENSION:
    case GNUTLS_E_UNSUPPORTED_CERTIFICATE_TYPE:
        return GNUTLS_A_DECODE_ERROR;
    case GNUTLS_E_PK_SIG_VERIFY_FAILED:
        return GNUTLS_A_DECRYPT_ERROR;
    default: {
        int level = 0;
        return (uint8_t)gnutls_error_to_alert(error, &level);
    }
    }
}

static int fail(quic_conn *conn, int error) {
    int own = ngtcp2_conn_get_tls_error(conn->ng);
    if (own != 0) {
        return own; /* Ours, such as bad transport parameters, on its way through GnuTLS. */
    }
    if (error == GNUTLS_E_NO_APPLICATION_PROTOCOL) {
        conn->fault = POLLEN_EVERSION;
    } else if (error == GNUTLS_E_MEMORY_ERROR) {
        conn->fault = POLLEN_ENOMEM;
    }
    ngtcp2_conn_set_tls_alert(conn->ng, alert_for(conn, error));
    return NGTCP2_ERR_CRYPTO;
}

int pln_quic_tls_feed(quic_conn *conn, ngtcp2_encryption_level level, const uint8_t *data,
                      size_t size) {
    if (conn->tls == NULL || level == NGTCP2_ENCRYPTION_LEVEL_1RTT) {
        return 0; /* Tickets, which the reference sends and we have no use for. */
    }
    int result = 0;
    if (size > 0) {
        gnutls_record_encryption_level_t tls_level =
            ngtcp2_crypto_gnutls_from_ngtcp2_encryption_level(level);
        result = gnutls_handshake_write(conn->tls, tls_level, data, size);
        if (result != 0) {
            return gnutls_error_is_fatal(result) != 0 ? fail(conn, result) : 0;
        }
    }
    if (ngtcp2_conn_get_handshake_completed(conn->ng) != 0) {
        return 0;
    }
    result = gnutls_handshake(conn->tls);
    if (result < 0) {
        return gnutls_error_is_fatal(result) != 0 ? fail(conn, result) : 0;
    }
    ngtcp2_conn_tls_handshake_completed(conn->ng);
    return 0;
}

/* A resumed session would get here without the verify function; there are none, and none may come
 * in by accident. */
bool pln_quic_tls_confirm(quic_conn *conn) {
    return conn->verified && pln_quic_alpn_allowed(conn, pln_quic_tls_alpn(conn->tls)) &&
           gnutls_session_is_resumed(conn->tls) == 0;
}
