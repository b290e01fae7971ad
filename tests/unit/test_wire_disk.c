/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the state directory: settings, redeemed invites, saved state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/fail_mem.h"
#include "support/rows.h"
#include "wire/config_yaml.h"
#include "wire/ledger_json.h"
#include "wire/state_yaml.h"

static int load(void **state) {
    *state = vectors_load("disk");
    return 0;
}

/* A text without the NUL behind it, so that a sanitizer sees a read past the end. */
static pln_bytes exact_text(const char *text) {
    return exact_bytes(text, strlen(text));
}

static void assert_text(const pln_bytes *got, const char *wanted) {
    if (got->size != strlen(wanted) || memcmp(got->data, wanted, got->size) != 0) {
        fail_msg("got:\n%.*s\nwanted:\n%s", (int)got->size, (const char *)got->data, wanted);
    }
}

/* A file of the state directories that the reference left. */
static pln_bytes load_file(const char *name) {
    static uint8_t bytes[64 * 1024];
    char path[512];
    snprintf(path, sizeof(path), "%s/statedir/%s", POLLEN_TEST_VECTORS, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    return exact_bytes(bytes, size);
}

/* ---- config.yaml ----------------------------------------------------------------------------- */

/* Where we do not do what the reference does, and why. */
static const struct deviation {
    const char *id;
    const char *saved; /* What we save. */
} config_deviations[] = {
    /* The reference keeps nanoseconds.  A lifetime is whole seconds here. */
    {"ttl-ms", "certTTLs:\n    membership: 1s\n"},
    /* The reference puts brackets around what has them already, again at every save. */
    {"peer-v6-brackets-no-port",
     "bootstrapPeers:\n"
     "    - peerPub: ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c\n"
     "      addrs:\n"
     "        - '[2001:db8::1]:60611'\n"},
};

static const char *saved_config(const json_t *row, bool *ret_deviates) {
    *ret_deviates = false;
    for (size_t i = 0; i < sizeof(config_deviations) / sizeof(config_deviations[0]); i++) {
        if (rows_is(row, "id", config_deviations[i].id)) {
            *ret_deviates = true;
            return config_deviations[i].saved;
        }
    }
    return rows_text(row, "saved");
}

static int64_t ttl_or(int64_t ttl, int64_t otherwise) {
    return ttl > 0 ? ttl : otherwise;
}

static void assert_config(const json_t *row, const pln_config *config, bool deviates) {
    const json_t *peers = json_object_get(row, "bootstrap");
    assert_int_equal(ttl_or(config->membership_ttl, PLN_MEMBERSHIP_TTL_DEFAULT),
                     json_integer_value(json_object_get(row, "membership_ttl_s")));
    assert_int_equal(ttl_or(config->admin_ttl, PLN_ADMIN_TTL_DEFAULT),
                     json_integer_value(json_object_get(row, "admin_ttl_s")));
    assert_int_equal(ttl_or(config->tls_identity_ttl, PLN_TLS_IDENTITY_TTL_DEFAULT),
                     json_integer_value(json_object_get(row, "tls_identity_ttl_s")));
    assert_int_equal(config->is_public, json_is_true(json_object_get(row, "public")));
    assert_int_equal(config->bootstrap.count, json_array_size(peers));
    for (size_t i = 0; i < config->bootstrap.count && !deviates; i++) {
        const pln_bootstrap *peer = &config->bootstrap.items[i];
        const json_t *wanted = json_array_get(peers, i);
        const json_t *addrs = json_array_get(wanted, 1);
        char hex[POLLEN_KEY_HEX_BYTES];
        assert_string_equal(pollen_key_hex(&peer->peer_pub, hex),
                            json_string_value(json_array_get(wanted, 0)));
        assert_int_equal(peer->addr_count, json_array_size(addrs));
        for (size_t k = 0; k < peer->addr_count; k++) {
            assert_string_equal(peer->addrs[k], json_string_value(json_array_get(addrs, k)));
        }
    }
}

static void config_is_read_and_saved_as_the_reference_does(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(*state, "config"), i, row) {
        pln_bytes text = exact_text(rows_text(row, "text"));
        char why[128] = "";
        pln_config config;
        bool deviates;
        const char *saved = saved_config(row, &deviates);
        bool accepted = rows_is(row, "verdict", "accept");
        pollen_err err = pln_config_decode((const char *)text.data, text.size, &config, why);
        if (err != (accepted ? POLLEN_OK : POLLEN_ECONFIG)) {
            fail_msg("%s: %s %s", rows_text(row, "id"), pollen_strerror(err), why);
        }
        if (accepted) {
            pln_bytes out;
            assert_config(row, &config, deviates);
            assert_int_equal(pln_config_encode(&config, &out), POLLEN_OK);
            assert_text(&out, saved);
            pln_bytes_fini(&out);
            pln_config_fini(&config);
        } else {
            assert_true(strncmp(why, "line ", 5) == 0);
        }
        pln_bytes_fini(&text);
    }
}

/* What the reference saves, and what its nodes left on disk, is saved again byte for byte. */
static void a_saved_config_is_stable(void **state) {
    static const char *const files[] = {"guest/config.yaml", "late/config.yaml", "node/config.yaml",
                                        "relay/config.yaml"};
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        pln_bytes text = load_file(files[i]);
        pln_config config;
        pln_bytes out;
        assert_int_equal(pln_config_decode((const char *)text.data, text.size, &config, NULL),
                         POLLEN_OK);
        assert_int_equal(pln_config_encode(&config, &out), POLLEN_OK);
        assert_true(pln_bytes_equal(&text, &out));
        pln_bytes_fini(&out);
        pln_bytes_fini(&text);
        pln_config_fini(&config);
    }
}

static pollen_err try_config(const char *text) {
    pln_config config;
    pln_bytes bytes = exact_text(text);
    pollen_err err = pln_config_decode((const char *)bytes.data, bytes.size, &config, NULL);
    if (err == POLLEN_OK) {
        pln_config_fini(&config);
    }
    pln_bytes_fini(&bytes);
    return err;
}

static void aliases_tags_depth_and_double_keys_are_refused(void **state) {
    (void)state;
    assert_int_equal(try_config("a: &x [1]\nb: *x\n"), POLLEN_ECONFIG);
    assert_int_equal(try_config("public: !!str true\n"), POLLEN_ECONFIG);
    assert_int_equal(try_config("public: true\npublic: true\n"), POLLEN_ECONFIG);
    assert_int_equal(try_config("[a]: b\n"), POLLEN_ECONFIG);
    assert_int_equal(try_config("a: \"\\0\"\n"), POLLEN_ECONFIG);
    assert_int_equal(try_config("a: [[[[[[[[[[[[[[1]]]]]]]]]]]]]]\n"), POLLEN_OK);
    assert_int_equal(try_config("a: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n"), POLLEN_ECONFIG);
    assert_int_equal(try_config("- a\n"), POLLEN_ECONFIG);
    assert_int_equal(try_config("{}\n--- broken [\n"), POLLEN_OK); /* Only the first document. */
}

/* The reference would make 0 of it, which stands for years. */
static void a_lifetime_below_a_second_is_refused(void **state) {
    (void)state;
    assert_int_equal(try_config("certTTLs: {admin: 999ms}\n"), POLLEN_ECONFIG);
    assert_int_equal(try_config("certTTLs: {admin: 1s}\n"), POLLEN_OK);
    assert_int_equal(try_config("certTTLs: {admin: 0}\n"), POLLEN_ECONFIG);
    assert_int_equal(try_config("certTTLs: {admin: '0'}\n"), POLLEN_OK);
}

static void port_mapping_is_asked_for_by_name_and_kept(void **state) {
    static const char text[] = "portMapping: pcp\n";
    pln_config config;
    pln_bytes out;
    (void)state;
    assert_int_equal(try_config("portMapping: off\n"), POLLEN_OK);
    assert_int_equal(try_config("portMapping: true\n"), POLLEN_ECONFIG);
    assert_int_equal(try_config("portMapping: upnp\n"), POLLEN_ECONFIG);
    assert_int_equal(try_config("portMapping: [pcp]\n"), POLLEN_ECONFIG);
    assert_int_equal(pln_config_decode("{}\n", 3, &config, NULL), POLLEN_OK);
    assert_false(config.maps_port);
    assert_int_equal(pln_config_decode(text, sizeof text - 1, &config, NULL), POLLEN_OK);
    assert_true(config.maps_port);
    assert_int_equal(pln_config_encode(&config, &out), POLLEN_OK);
    assert_int_equal(out.size, sizeof text - 1);
    assert_memory_equal(out.data, text, out.size);
    pln_bytes_fini(&out);
}

static void a_config_over_its_limits_is_refused(void **state) {
    (void)state;
    static char text[128 * 1024];
    for (unsigned peers = PLN_BOOTSTRAP_MAX; peers <= PLN_BOOTSTRAP_MAX + 1; peers++) {
        size_t used = (size_t)snprintf(text, sizeof(text), "bootstrapPeers:\n");
        for (unsigned i = 0; i < peers; i++) {
            used += (size_t)snprintf(text + used, sizeof(text) - used,
                                     "- {peerPub: %064x, addrs: [a]}\n", i);
        }
        assert_int_equal(try_config(text), peers == PLN_BOOTSTRAP_MAX ? POLLEN_OK : POLLEN_ECONFIG);
    }
    size_t size = PLN_CONFIG_TEXT_MAX + 1;
    char *large = malloc(size + 1);
    assert_non_null(large);
    memset(large, '\n', size);
    large[size] = '\0';
    assert_int_equal(try_config(large), POLLEN_ECONFIG);
    large[size - 1] = '\0';
    assert_int_equal(try_config(large), POLLEN_OK);
    free(large);
}

static void every_truncation_of_a_config_ends_well(void **state) {
    (void)state;
    pln_bytes text = load_file("relay/config.yaml");
    for (size_t size = 0; size < text.size; size++) {
        pln_bytes part = exact_bytes(text.data, size);
        pln_config config;
        pollen_err err = pln_config_decode((const char *)part.data, size, &config, NULL);
        assert_true(err == POLLEN_OK || err == POLLEN_ECONFIG);
        if (err == POLLEN_OK) {
            pln_config_fini(&config);
        }
        pln_bytes_fini(&part);
    }
    pln_bytes_fini(&text);
}

static void an_address_that_could_not_be_read_back_is_not_saved(void **state) {
    (void)state;
    static const char *const bad[] = {"", " ", "a b:1", "[::1", "::1]:1", "[[::1]]:1", "[]:1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        pln_config config = {0};
        pollen_key key = {.bytes = {1}};
        pln_bytes out;
        assert_int_equal(pln_bootstraps_add(&config.bootstrap, &key, &bad[i], 1), POLLEN_OK);
        assert_int_equal(pln_config_encode(&config, &out), POLLEN_EINVAL);
        pln_config_fini(&config);
    }
}

/* ---- consumed_invites.json ------------------------------------------------------------------- */

static void ledgers_are_read_as_the_reference_does(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(*state, "consumed"), i, row) {
        pln_bytes text = exact_text(rows_text(row, "text"));
        bool accepted = rows_is(row, "verdict", "accept");
        pln_ledger_entry *entries;
        size_t count;
        char why[128] = "";
        pollen_err err =
            pln_ledger_decode((const char *)text.data, text.size, &entries, &count, why);
        assert_int_equal(err, accepted ? POLLEN_OK : POLLEN_ESTATE);
        if (accepted) {
            pln_ledger_entries_free(entries, count);
        } else {
            assert_true(why[0] != '\0');
        }
        pln_bytes_fini(&text);
    }
}

/* All files that the reference writes while it redeems, read and written again.  (Some rows begin
 * with a file in another form, which it leaves as it is until something is redeemed.) */
static void a_ledger_of_the_reference_is_written_byte_for_byte(void **state) {
    size_t i;
    size_t k;
    size_t compared = 0;
    json_t *row;
    json_t *step;
    json_array_foreach(rows_of(*state, "consumed"), i, row) {
        json_array_foreach(json_object_get(row, "steps"), k, step) {
            const char *after = rows_text(step, "file_after");
            pln_ledger_entry *entries;
            size_t count;
            pln_bytes out;
            if (strcmp(after, rows_text(row, "text")) == 0) {
                continue;
            }
            assert_int_equal(pln_ledger_decode(after, strlen(after), &entries, &count, NULL),
                             POLLEN_OK);
            assert_int_equal(pln_ledger_encode(entries, count, &out), POLLEN_OK);
            assert_text(&out, after);
            compared += 1;
            pln_bytes_fini(&out);
            pln_ledger_entries_free(entries, count);
        }
    }
    assert_true(compared >= 10);
    static const char *const files[] = {"root/consumed_invites.json",
                                        "relay/consumed_invites.json"};
    for (i = 0; i < 2; i++) {
        pln_bytes text = load_file(files[i]);
        pln_ledger_entry *entries;
        size_t count;
        pln_bytes out;
        assert_int_equal(
            pln_ledger_decode((const char *)text.data, text.size, &entries, &count, NULL),
            POLLEN_OK);
        assert_int_equal(pln_ledger_encode(entries, count, &out), POLLEN_OK);
        assert_true(pln_bytes_equal(&text, &out));
        pln_bytes_fini(&out);
        pln_bytes_fini(&text);
        pln_ledger_entries_free(entries, count);
    }
}

static void of_two_entries_for_an_id_the_last_one_counts(void **state) {
    const char *text = rows_text(rows_find(*state, "consumed", "duplicate-ids"), "text");
    pln_ledger_entry *entries;
    size_t count;
    assert_int_equal(pln_ledger_decode(text, strlen(text), &entries, &count, NULL), POLLEN_OK);
    assert_int_equal(count, 1);
    assert_int_equal(entries[0].expires_at, 1770000009);
    pln_ledger_entries_free(entries, count);
}

static void subject_and_answer_survive_and_the_reference_ignores_them(void **state) {
    (void)state;
    uint8_t answer[] = {1, 2, 3, 4};
    pln_ledger_entry entries[] = {
        {.token_id = "223e4567-e89b-42d3-a456-426614174000", .expires_at = -1, .consumed_at = 5},
        {.token_id = "123e4567-e89b-42d3-a456-426614174000",
         .expires_at = INT64_MAX,
         .consumed_at = INT64_MIN,
         .has_subject = true,
         .subject = {.bytes = {0xab}},
         .answer = {.data = answer, .size = sizeof(answer)}},
    };
    pln_bytes text;
    pln_ledger_entry *again;
    size_t count;
    assert_int_equal(pln_ledger_encode(entries, 2, &text), POLLEN_OK);
    assert_int_equal(pln_ledger_decode((const char *)text.data, text.size, &again, &count, NULL),
                     POLLEN_OK);
    assert_int_equal(count, 2);
    assert_string_equal(again[0].token_id, entries[1].token_id);
    assert_int_equal(again[0].expires_at, INT64_MAX);
    assert_int_equal(again[0].consumed_at, INT64_MIN);
    assert_true(again[0].has_subject);
    assert_memory_equal(again[0].subject.bytes, entries[1].subject.bytes, 32);
    assert_true(pln_bytes_equal(&again[0].answer, &entries[1].answer));
    assert_false(again[1].has_subject);
    pln_ledger_entries_free(again, count);
    pln_bytes_fini(&text);
}

static pollen_err try_ledger(const char *text) {
    pln_ledger_entry *entries;
    size_t count;
    pln_bytes bytes = exact_text(text);
    pollen_err err =
        pln_ledger_decode((const char *)bytes.data, bytes.size, &entries, &count, NULL);
    if (err == POLLEN_OK) {
        pln_ledger_entries_free(entries, count);
    }
    pln_bytes_fini(&bytes);
    return err;
}

#define ID "\"tokenID\":\"123e4567-e89b-42d3-a456-426614174000\""

static void malformed_ledgers_are_refused(void **state) {
    (void)state;
    assert_int_equal(try_ledger("{\"invites\":null}"), POLLEN_OK);
    assert_int_equal(try_ledger("[]"), POLLEN_ESTATE);
    assert_int_equal(try_ledger("{\"invites\":[1]}"), POLLEN_ESTATE);
    assert_int_equal(try_ledger("{\"invites\":[{\"tokenID\":1}]}"), POLLEN_ESTATE);
    assert_int_equal(try_ledger("{\"invites\":[{" ID ",\"expiresAtUnix\":1.5}]}"), POLLEN_ESTATE);
    assert_int_equal(try_ledger("{\"invites\":[{" ID ",\"subject\":\"ab\"}]}"), POLLEN_ESTATE);
    assert_int_equal(try_ledger("{\"invites\":[{" ID ",\"answer\":\"*\"}]}"), POLLEN_ESTATE);
    assert_int_equal(try_ledger("{\"invites\":[{" ID ",\"answer\":\"AQID\"}]}"), POLLEN_OK);
}

static void every_truncation_of_a_ledger_is_refused(void **state) {
    (void)state;
    pln_bytes text = load_file("root/consumed_invites.json");
    for (size_t size = 1; size < text.size - 1; size++) { /* The last newline may be missing. */
        pln_bytes part = exact_bytes(text.data, size);
        pln_ledger_entry *entries;
        size_t count;
        assert_int_equal(pln_ledger_decode((const char *)part.data, size, &entries, &count, NULL),
                         POLLEN_ESTATE);
        pln_bytes_fini(&part);
    }
    pln_bytes_fini(&text);
}

/* ---- state.yaml ------------------------------------------------------------------------------ */

static void states_are_read_as_the_reference_does(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(*state, "state"), i, row) {
        const char *text = rows_text(row, "text");
        bool accepted = rows_is(row, "verdict", "accept");
        pln_bytes bytes = exact_text(text != NULL ? text : "");
        pln_saved_state saved;
        char why[128] = "";
        pollen_err err = pln_saved_state_decode((const char *)bytes.data, bytes.size, &saved, why);
        if (err != (accepted ? POLLEN_OK : POLLEN_ESTATE)) {
            fail_msg("%s: %s %s", rows_text(row, "id"), pollen_strerror(err), why);
        }
        if (accepted) {
            pln_saved_state_fini(&saved);
        }
        pln_bytes_fini(&bytes);
    }
}

/* Rows whose saved text follows from the file alone; in the others the store adds the local key,
 * drops what does not verify, or makes a record for the provider of a service. */
static void states_are_saved_as_the_reference_does(void **state) {
    static const char *const ids[] = {"full", "order-and-style", "unknown-keys", "port-large",
                                      "duplicate-peer"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const json_t *row = rows_find(*state, "state", ids[i]);
        const char *text = rows_text(row, "text");
        pln_saved_state saved;
        pln_bytes out;
        assert_int_equal(pln_saved_state_decode(text, strlen(text), &saved, NULL), POLLEN_OK);
        assert_int_equal(pln_saved_state_encode(&saved, &out), POLLEN_OK);
        assert_text(&out, rows_text(row, "saved"));
        pln_bytes_fini(&out);
        pln_saved_state_fini(&saved);
    }
}

/* All texts that the reference saved, in both files of vectors and in the directories its nodes
 * left. */
static void a_saved_state_is_stable(void **state) {
    static const char *const files[] = {"guest/state.yaml", "node/state.yaml", "relay/state.yaml",
                                        "root/state.yaml"};
    json_t *merges = vectors_load("state");
    size_t i;
    json_t *row;
    pln_saved_state saved;
    pln_bytes out;
    json_array_foreach(rows_of(merges, "merge"), i, row) {
        const char *text = rows_text(row, "saved_state_yaml");
        if (text == NULL) {
            continue;
        }
        assert_int_equal(pln_saved_state_decode(text, strlen(text), &saved, NULL), POLLEN_OK);
        assert_int_equal(pln_saved_state_encode(&saved, &out), POLLEN_OK);
        assert_text(&out, text);
        pln_bytes_fini(&out);
        pln_saved_state_fini(&saved);
    }
    json_decref(merges);
    json_array_foreach(rows_of(*state, "state"), i, row) {
        const char *text = rows_text(row, "saved");
        if (text == NULL) {
            continue;
        }
        assert_int_equal(pln_saved_state_decode(text, strlen(text), &saved, NULL), POLLEN_OK);
        assert_int_equal(saved.bad_revocations, 0);
        assert_int_equal(pln_saved_state_encode(&saved, &out), POLLEN_OK);
        /* Here the reference believed the subject beside a revocation; we write the signed one. */
        if (!rows_is(row, "id", "revocation-subject-mismatch")) {
            assert_text(&out, text);
        }
        pln_bytes_fini(&out);
        pln_saved_state_fini(&saved);
    }
    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        pln_bytes text = load_file(files[i]);
        assert_int_equal(pln_saved_state_decode((const char *)text.data, text.size, &saved, NULL),
                         POLLEN_OK);
        assert_int_equal(pln_saved_state_encode(&saved, &out), POLLEN_OK);
        assert_true(pln_bytes_equal(&text, &out));
        pln_bytes_fini(&out);
        pln_bytes_fini(&text);
        pln_saved_state_fini(&saved);
    }
}

/* The reference skips it, as it does all keys that it does not know. */
static void a_connection_may_name_the_address_to_listen_at(void **state) {
    pln_saved_state saved;
    pln_saved_connection connections[3] = {
        {.remote_port = 1, .local_port = 2, .bind = "2001:db8::1"},
        {.remote_port = 3, .local_port = 4, .bind = ""},
        {.remote_port = 5, .local_port = 6, .bind = "0.0.0.0"}};
    const pln_saved_state wanted = {.connections = connections, .connection_count = 3};
    const char *const too_long =
        "connections:\n    - peer: "
        "00000000000000000000000000000000000000000000000000000000000000ff\n"
        "      remotePort: 1\n      localPort: 2\n"
        "      bind: \"1234567890123456789012345678901234567890123456\"\n";
    pln_bytes out;
    (void)state;
    assert_int_equal(pln_saved_state_encode(&wanted, &out), POLLEN_OK);
    assert_int_equal(pln_saved_state_decode((const char *)out.data, out.size, &saved, NULL),
                     POLLEN_OK);
    assert_int_equal(saved.connection_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(saved.connections[i].local_port, connections[i].local_port);
        assert_string_equal(saved.connections[i].bind, connections[i].bind);
    }
    pln_bytes_fini(&out);
    pln_saved_state_fini(&saved);
    assert_int_equal(pln_saved_state_decode(too_long, strlen(too_long), &saved, NULL), POLLEN_OK);
    assert_int_equal(saved.connection_count, 1);
    assert_string_equal(saved.connections[0].bind, "");
    pln_saved_state_fini(&saved);
}

/* The reference revokes the key that stands beside the signed entry, whatever was signed. */
static void a_revocation_counts_for_the_subject_that_was_signed(void **state) {
    const json_t *row = rows_find(*state, "state", "revocation-subject-mismatch");
    const char *text = rows_text(row, "text");
    pln_saved_state saved;
    char hex[POLLEN_KEY_HEX_BYTES];
    assert_int_equal(pln_saved_state_decode(text, strlen(text), &saved, NULL), POLLEN_OK);
    assert_int_equal(saved.revocation_count, 1);
    assert_int_equal(saved.mismatched_revocations, 1);
    assert_string_equal(pollen_key_hex(&saved.revocations[0].subject_pub, hex),
                        "ca93ac1705187071d67b83c7ff0efe8108e8ec4530575d7726879333dbdabe7c");
    pln_saved_state_fini(&saved);
}

static void a_malformed_revocation_is_skipped_and_counted(void **state) {
    const char *text = rows_text(rows_find(*state, "state", "revocation-bad-base64"), "text");
    pln_saved_state saved;
    assert_int_equal(pln_saved_state_decode(text, strlen(text), &saved, NULL), POLLEN_OK);
    assert_int_equal(saved.revocation_count, 0);
    assert_int_equal(saved.bad_revocations, 1);
    pln_saved_state_fini(&saved);
}

static void the_stub_has_no_local_key(void **state) {
    (void)state;
    const char *text = "local:\n  identityPublic: \"\"\n";
    pln_saved_state saved;
    assert_int_equal(pln_saved_state_decode(text, strlen(text), &saved, NULL), POLLEN_OK);
    assert_false(saved.has_local);
    pln_saved_state_fini(&saved);
}

static pollen_err try_state(const char *text) {
    pln_saved_state saved;
    pollen_err err = pln_saved_state_decode(text, strlen(text), &saved, NULL);
    if (err == POLLEN_OK) {
        pln_saved_state_fini(&saved);
    }
    return err;
}

static void malformed_states_are_refused(void **state) {
    (void)state;
    assert_int_equal(try_state("[]"), POLLEN_ESTATE);
    assert_int_equal(try_state("local: x"), POLLEN_ESTATE);
    assert_int_equal(try_state("peers: {a: b}"), POLLEN_ESTATE);
    assert_int_equal(try_state("peers: [a]"), POLLEN_ESTATE);
    assert_int_equal(try_state("peers: [{port: 4294967295}]"), POLLEN_OK);
    assert_int_equal(try_state("peers: [{port: 4294967296}]"), POLLEN_ESTATE);
    assert_int_equal(try_state("peers: [{port: '1'}]"), POLLEN_ESTATE);
    assert_int_equal(try_state("peers: [{addresses: a}]"), POLLEN_ESTATE);
    assert_int_equal(try_state("peers: [{lastAddr: [a]}]"), POLLEN_ESTATE);
    assert_int_equal(try_state("services: [{name: {}}]"), POLLEN_ESTATE);
}

static void every_truncation_of_a_state_ends_well(void **state) {
    (void)state;
    pln_bytes text = load_file("node/state.yaml");
    for (size_t size = 0; size < text.size; size++) {
        pln_bytes part = exact_bytes(text.data, size);
        pln_saved_state saved;
        pollen_err err = pln_saved_state_decode((const char *)part.data, size, &saved, NULL);
        assert_true(err == POLLEN_OK || err == POLLEN_ESTATE);
        if (err == POLLEN_OK) {
            pln_saved_state_fini(&saved);
        }
        pln_bytes_fini(&part);
    }
    pln_bytes_fini(&text);
}

/* ---- Lack of memory -------------------------------------------------------------------------- */

static pollen_err read_and_save_config(const pln_bytes *text) {
    pln_config config;
    pln_bytes out;
    pollen_err err = pln_config_decode((const char *)text->data, text->size, &config, NULL);
    if (err != POLLEN_OK) {
        return err;
    }
    err = pln_config_encode(&config, &out);
    if (err == POLLEN_OK) {
        pln_bytes_fini(&out);
    }
    pln_config_fini(&config);
    return err;
}

static pollen_err read_and_save_state(const pln_bytes *text) {
    pln_saved_state saved;
    pln_bytes out;
    pollen_err err = pln_saved_state_decode((const char *)text->data, text->size, &saved, NULL);
    if (err != POLLEN_OK) {
        return err;
    }
    err = pln_saved_state_encode(&saved, &out);
    if (err == POLLEN_OK) {
        pln_bytes_fini(&out);
    }
    pln_saved_state_fini(&saved);
    return err;
}

static pollen_err read_and_save_ledger(const pln_bytes *text) {
    pln_ledger_entry *entries;
    size_t count;
    pln_bytes out;
    pollen_err err =
        pln_ledger_decode((const char *)text->data, text->size, &entries, &count, NULL);
    if (err != POLLEN_OK) {
        return err;
    }
    err = pln_ledger_encode(entries, count, &out);
    if (err == POLLEN_OK) {
        pln_bytes_fini(&out);
    }
    pln_ledger_entries_free(entries, count);
    return err;
}

static void a_file_read_or_saved_without_memory_leaves_nothing(void **state) {
    static const struct {
        const char *file;
        pollen_err (*run)(const pln_bytes *text);
    } cases[] = {
        {"relay/config.yaml", read_and_save_config},
        {"node/state.yaml", read_and_save_state},
        {"root/consumed_invites.json", read_and_save_ledger},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pln_bytes text = load_file(cases[i].file);
        for (size_t n = 1;; n++) {
            long live = fail_mem_live();
            fail_mem_arm(n);
            pollen_err err = cases[i].run(&text);
            bool failed = fail_mem_disarm();
            assert_int_equal(err, failed ? POLLEN_ENOMEM : POLLEN_OK);
            assert_int_equal(fail_mem_live(), live);
            if (!failed) {
                break;
            }
        }
        pln_bytes_fini(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_is_read_and_saved_as_the_reference_does),
        cmocka_unit_test(a_saved_config_is_stable),
        cmocka_unit_test(aliases_tags_depth_and_double_keys_are_refused),
        cmocka_unit_test(a_lifetime_below_a_second_is_refused),
        cmocka_unit_test(port_mapping_is_asked_for_by_name_and_kept),
        cmocka_unit_test(a_config_over_its_limits_is_refused),
        cmocka_unit_test(every_truncation_of_a_config_ends_well),
        cmocka_unit_test(an_address_that_could_not_be_read_back_is_not_saved),
        cmocka_unit_test(ledgers_are_read_as_the_reference_does),
        cmocka_unit_test(a_ledger_of_the_reference_is_written_byte_for_byte),
        cmocka_unit_test(of_two_entries_for_an_id_the_last_one_counts),
        cmocka_unit_test(subject_and_answer_survive_and_the_reference_ignores_them),
        cmocka_unit_test(malformed_ledgers_are_refused),
        cmocka_unit_test(every_truncation_of_a_ledger_is_refused),
        cmocka_unit_test(states_are_read_as_the_reference_does),
        cmocka_unit_test(states_are_saved_as_the_reference_does),
        cmocka_unit_test(a_saved_state_is_stable),
        cmocka_unit_test(a_connection_may_name_the_address_to_listen_at),
        cmocka_unit_test(a_revocation_counts_for_the_subject_that_was_signed),
        cmocka_unit_test(a_malformed_revocation_is_skipped_and_counted),
        cmocka_unit_test(the_stub_has_no_local_key),
        cmocka_unit_test(malformed_states_are_refused),
        cmocka_unit_test(every_truncation_of_a_state_ends_well),
        cmocka_unit_test(a_file_read_or_saved_without_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, load, vectors_unload);
}
