/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "auth/ed25519ctx.h"
#include "support/vectors.h"

static pollen_seed seed_of(const char *hex) {
    pollen_seed seed;
    assert_true(pln_hex_decode(hex, seed.bytes, sizeof(seed.bytes)));
    return seed;
}

static pollen_key key_of(const char *hex) {
    pollen_key key;
    assert_true(pln_hex_decode(hex, key.bytes, sizeof(key.bytes)));
    return key;
}

/* ---- RFC 8032, 7.2 --------------------------------------------------------------------------- */

static const struct {
    const char *seed;
    const char *pub;
    const char *msg;
    const char *context;
    const char *signature;
} rfc[] = {
    {"0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6",
     "dfc9425e4f968f7f0c29f0259cf5f9aed6851c2bb4ad8bfb860cfee0ab248292",
     "f726936d19c800494e3fdaff20b276a8", "foo",
     "55a4cc2f70a54e04288c5f4cd1e45a7bb520b36292911876cada7323198dd87a"
     "8b36950b95130022907a7fb7c4e9b2d5f6cca685a587b4b21f4b888e4e7edb0d"},
    {"0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6",
     "dfc9425e4f968f7f0c29f0259cf5f9aed6851c2bb4ad8bfb860cfee0ab248292",
     "f726936d19c800494e3fdaff20b276a8", "bar",
     "fc60d5872fc46b3aa69f8b5b4351d5808f92bcc044606db097abab6dbcb1aee3"
     "216c48e8b3b66431b5b186d1d28f8ee15a5ca2df6668346291c2043d4eb3e90d"},
    {"0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6",
     "dfc9425e4f968f7f0c29f0259cf5f9aed6851c2bb4ad8bfb860cfee0ab248292",
     "508e9e6882b979fea900f62adceaca35", "foo",
     "8b70c1cc8310e1de20ac53ce28ae6e7207f33c3295e03bb5c0732a1d20dc6490"
     "8922a8b052cf99b7c4fe107a5abb5b2c4085ae75890d02df26269d8945f84b0b"},
    {"ab9c2853ce297ddab85c993b3ae14bcad39b2c682beabc27d6d4eb20711d6560",
     "0f1d1274943b91415889152e893d80e93275a1fc0b65fd71b4b0dda10ad7d772",
     "f726936d19c800494e3fdaff20b276a8", "foo",
     "21655b5f1aa965996b3f97b3c849eafba922a0a62992f73b3d1b73106a84ad85"
     "e9b86a7b6005ea868337ff2d20a7f5fbd4cd10b0be49a68da2b2e0dc0ad8960f"},
};

static void test_rfc_8032_signatures_come_out_and_hold(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(rfc) / sizeof(*rfc); i++) {
        pollen_seed seed = seed_of(rfc[i].seed);
        pollen_key pub = pollen_seed_key(&seed);
        pollen_key expected = key_of(rfc[i].pub);
        assert_memory_equal(pub.bytes, expected.bytes, sizeof(pub.bytes));
        uint8_t msg[16];
        pln_signature wanted;
        pln_signature made;
        assert_true(pln_hex_decode(rfc[i].msg, msg, sizeof(msg)));
        assert_true(pln_hex_decode(rfc[i].signature, wanted.bytes, sizeof(wanted.bytes)));
        assert_int_equal(pln_ed25519ctx_sign(&seed, rfc[i].context, msg, sizeof(msg), &made),
                         POLLEN_OK);
        assert_memory_equal(made.bytes, wanted.bytes, sizeof(made.bytes));
        assert_true(pln_ed25519ctx_verify(&pub, rfc[i].context, msg, sizeof(msg), &wanted));
        assert_false(pln_ed25519ctx_verify(&pub, "baz", msg, sizeof(msg), &wanted));
    }
}

/* ---- Vectors made by the reference ----------------------------------------------------------- */

static void test_signing_is_byte_exact(void **state) {
    (void)state;
    json_t *root = vectors_load("ed25519ctx");
    json_t *rows = json_object_get(root, "sign");
    assert_int_equal(json_array_size(rows), 57);
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) {
        pollen_seed seed;
        pollen_key pub;
        pln_signature wanted;
        vectors_fixed(row, "seed", seed.bytes, sizeof(seed.bytes));
        vectors_fixed(row, "pub", pub.bytes, sizeof(pub.bytes));
        vectors_fixed(row, "sig", wanted.bytes, sizeof(wanted.bytes));
        pln_bytes msg = vectors_bytes(row, "msg");
        const char *context = vectors_text(row, "context");

        pollen_key made_pub = pollen_seed_key(&seed);
        pln_signature made;
        assert_int_equal(pln_ed25519ctx_sign(&seed, context, msg.data, msg.size, &made), POLLEN_OK);
        assert_memory_equal(made_pub.bytes, pub.bytes, sizeof(pub.bytes));
        assert_memory_equal(made.bytes, wanted.bytes, sizeof(made.bytes));
        assert_true(pln_ed25519ctx_verify(&pub, context, msg.data, msg.size, &made));
        pln_bytes_fini(&msg);
    }
    json_decref(root);
}

/* Keys and signatures of another length have no place in our types: whoever decodes refuses them.
 * */
static bool verify_row(const json_t *row) {
    pollen_key pub;
    pln_signature signature;
    if (!pln_hex_decode(vectors_text(row, "pub"), pub.bytes, sizeof(pub.bytes)) ||
        !pln_hex_decode(vectors_text(row, "sig"), signature.bytes, sizeof(signature.bytes))) {
        return false;
    }
    pln_bytes msg = vectors_bytes(row, "msg");
    bool holds =
        pln_ed25519ctx_verify(&pub, vectors_text(row, "context"), msg.data, msg.size, &signature);
    pln_bytes_fini(&msg);
    return holds;
}

static void test_verdicts_are_the_references_but_for_small_order_keys(void **state) {
    (void)state;
    json_t *root = vectors_load("ed25519ctx");
    json_t *rows = json_object_get(root, "verify");
    assert_int_equal(json_array_size(rows), 94);
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) {
        /* The marked rows are small-order and non-canonical keys, which the reference takes: with
         * them one signature fits many messages, so we refuse them. */
        bool marked = json_object_get(row, "pitfall") != NULL;
        bool wanted = !marked && strcmp(vectors_text(row, "verdict"), "accept") == 0;
        if (verify_row(row) != wanted) {
            fail_msg("%s", vectors_text(row, "id"));
        }
        if (marked) {
            pollen_key pub;
            vectors_fixed(row, "pub", pub.bytes, sizeof(pub.bytes));
            assert_false(pln_key_is_usable(&pub));
        }
    }
    json_decref(root);
}

/* ---- Keys with a small-order part ------------------------------------------------------------ */

/* A point of order eight. */
static const char torsion_hex[] =
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";

static void add_torsion(uint8_t point[32], unsigned times) {
    pollen_key torsion = key_of(torsion_hex);
    for (; times > 0; times--) {
        assert_int_equal(crypto_core_ed25519_add(point, point, torsion.bytes), 0);
    }
}

/* SHA-512(dom2 || R || A || message) mod L. */
static void challenge(const uint8_t r[32], const uint8_t a[32], uint8_t message, uint8_t ret[32]) {
    uint8_t digest[64];
    uint8_t flag_and_length[2] = {0, 1};
    crypto_hash_sha512_state hash;
    crypto_hash_sha512_init(&hash);
    crypto_hash_sha512_update(&hash, (const uint8_t *)"SigEd25519 no Ed25519 collisions", 32);
    crypto_hash_sha512_update(&hash, flag_and_length, 2);
    crypto_hash_sha512_update(&hash, (const uint8_t *)"c", 1);
    crypto_hash_sha512_update(&hash, r, 32);
    crypto_hash_sha512_update(&hash, a, 32);
    crypto_hash_sha512_update(&hash, &message, 1);
    crypto_hash_sha512_final(&hash, digest);
    crypto_core_ed25519_scalar_reduce(ret, digest);
}

/*
 * With A = a*B + t*T and R = r*B + j*T, T of order eight, S = r + h*a fits the cofactorless
 * equation exactly when j + h*t is a multiple of eight.
 */
static bool try_mixed(unsigned t, unsigned j, uint8_t message, bool *ret_wanted) {
    uint8_t a[32] = {5};
    uint8_t r[32] = {7, message};
    pollen_key pub;
    pln_signature signature;
    assert_int_equal(crypto_scalarmult_ed25519_base_noclamp(pub.bytes, a), 0);
    assert_int_equal(crypto_scalarmult_ed25519_base_noclamp(signature.bytes, r), 0);
    add_torsion(pub.bytes, t);
    add_torsion(signature.bytes, j);
    uint8_t h[32];
    uint8_t ha[32];
    challenge(signature.bytes, pub.bytes, message, h);
    crypto_core_ed25519_scalar_mul(ha, h, a);
    crypto_core_ed25519_scalar_add(signature.bytes + 32, r, ha);
    *ret_wanted = (j + (h[0] & 7) * t) % 8 == 0;
    return pln_ed25519ctx_verify(&pub, "c", &message, 1, &signature);
}

static void test_small_order_parts_count_as_in_the_reference(void **state) {
    (void)state;
    unsigned accepted = 0;
    for (unsigned t = 0; t < 8; t++) {
        for (unsigned j = 0; j < 8; j++) {
            for (uint8_t message = 0; message < 12; message++) {
                bool wanted = false;
                bool holds = try_mixed(t, j, message, &wanted);
                assert_int_equal(holds, wanted);
                accepted += wanted ? 1 : 0;
            }
        }
    }
    assert_true(accepted > 50);
}

/* ---- Contexts -------------------------------------------------------------------------------- */

static void test_contexts_have_1_to_255_bytes(void **state) {
    (void)state;
    pollen_seed seed = {{7}};
    pollen_key pub = pollen_seed_key(&seed);
    pln_signature signature = {{0}};
    char context[257];
    memset(context, 'x', sizeof(context));
    context[255] = '\0';
    assert_int_equal(pln_ed25519ctx_sign(&seed, context, NULL, 0, &signature), POLLEN_OK);
    assert_true(pln_ed25519ctx_verify(&pub, context, NULL, 0, &signature));

    pln_signature kept = signature;
    context[255] = 'x';
    context[256] = '\0';
    assert_int_equal(pln_ed25519ctx_sign(&seed, context, NULL, 0, &signature), POLLEN_EINVAL);
    assert_int_equal(pln_ed25519ctx_sign(&seed, "", NULL, 0, &signature), POLLEN_EINVAL);
    assert_memory_equal(signature.bytes, kept.bytes, sizeof(kept.bytes));
    assert_false(pln_ed25519ctx_verify(&pub, context, NULL, 0, &signature));
    assert_false(pln_ed25519ctx_verify(&pub, "", NULL, 0, &signature));
}

static void test_a_signature_holds_under_its_own_context_only(void **state) {
    (void)state;
    static const char *const contexts[] = {PLN_CTX_ADMIN, PLN_CTX_MEMBERSHIP, PLN_CTX_JOIN,
                                           PLN_CTX_INVITE, PLN_CTX_REVOCATION};
    pollen_seed seed = {{1}};
    pollen_key pub = pollen_seed_key(&seed);
    for (size_t i = 0; i < 5; i++) {
        pln_signature signature;
        assert_int_equal(
            pln_ed25519ctx_sign(&seed, contexts[i], (const uint8_t *)"m", 1, &signature),
            POLLEN_OK);
        for (size_t j = 0; j < 5; j++) {
            assert_int_equal(
                pln_ed25519ctx_verify(&pub, contexts[j], (const uint8_t *)"m", 1, &signature),
                i == j);
        }
    }
}

static void test_every_flipped_bit_is_seen(void **state) {
    (void)state;
    pollen_seed seed = {{2}};
    pollen_key pub = pollen_seed_key(&seed);
    pln_signature good;
    assert_int_equal(pln_ed25519ctx_sign(&seed, "c", (const uint8_t *)"m", 1, &good), POLLEN_OK);
    for (size_t bit = 0; bit < 512; bit++) {
        pln_signature bad = good;
        bad.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(pln_ed25519ctx_verify(&pub, "c", (const uint8_t *)"m", 1, &bad));
    }
    for (size_t bit = 0; bit < 256; bit++) {
        pollen_key other = pub;
        other.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(pln_ed25519ctx_verify(&other, "c", (const uint8_t *)"m", 1, &good));
    }
}

/* ---- Keys ------------------------------------------------------------------------------------ */

/* With either sign of x.  The first five are the small-order points; 2, 3, ... are on the curve or
 * not. */
static const struct {
    const char *y;
    bool usable;
} encodings[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", false},
    {"0100000000000000000000000000000000000000000000000000000000000000", false},
    {"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", false},
    {"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", false},
    {"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", false},
    /* The prime and above: a second way to write 0, 1, and the points of y = 3 and 18. */
    {"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", false},
    {"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", false},
    {"f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", false},
    {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", false},
    {"0200000000000000000000000000000000000000000000000000000000000000", false}, /* No such x. */
    {"0300000000000000000000000000000000000000000000000000000000000000", true},
    {"5866666666666666666666666666666666666666666666666666666666666666",
     true}, /* The base point. */
};

static void test_unusable_keys_are_known(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(encodings) / sizeof(*encodings); i++) {
        pollen_key key = key_of(encodings[i].y);
        assert_int_equal(pln_key_is_usable(&key), encodings[i].usable);
        key.bytes[31] ^= 0x80;
        assert_int_equal(pln_key_is_usable(&key), encodings[i].usable);
    }
}

static void test_every_throw_away_key_is_as_listed_and_usable(void **state) {
    (void)state;
    json_t *root = vectors_load("keys");
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(root, "keys"), i, row) {
        pollen_seed seed;
        pollen_key wanted;
        vectors_fixed(row, "seed", seed.bytes, sizeof(seed.bytes));
        vectors_fixed(row, "pub", wanted.bytes, sizeof(wanted.bytes));
        pollen_key pub = pollen_seed_key(&seed);
        assert_memory_equal(pub.bytes, wanted.bytes, sizeof(pub.bytes));
        assert_true(pln_key_is_usable(&pub));
    }
    json_array_foreach(json_object_get(root, "clusters"), i, row) {
        pollen_key pub;
        uint8_t wanted[32];
        uint8_t hash[32];
        vectors_fixed(row, "root_pub", pub.bytes, sizeof(pub.bytes));
        vectors_fixed(row, "cluster_id", wanted, sizeof(wanted));
        pln_sha256(pub.bytes, sizeof(pub.bytes), hash);
        assert_memory_equal(hash, wanted, sizeof(hash));
    }
    json_decref(root);
}

static void test_a_wiped_seed_is_zero(void **state) {
    (void)state;
    pollen_seed seed = {{1, 2, 3}};
    pollen_seed zero = {{0}};
    pollen_seed_wipe(&seed);
    assert_memory_equal(seed.bytes, zero.bytes, sizeof(seed.bytes));
}

static void test_derived_secrets_are_hkdf_sha_256(void **state) {
    (void)state;
    /* HKDF of RFC 5869 without a salt over the seed 0b..0b (32 bytes), info "label", 42 bytes. */
    pollen_seed seed;
    memset(seed.bytes, 0x0b, sizeof(seed.bytes));
    uint8_t wanted[42];
    uint8_t made[42];
    assert_true(pln_hex_decode(
        "b9353292f1f5b8de7612eb413046cf02268318c8b1ec020e2e50f050bd2cb646cb982562245fc2da7f69",
        wanted, sizeof(wanted)));
    pln_derive_secret(&seed, "label", made, sizeof(made));
    assert_memory_equal(made, wanted, sizeof(made));

    uint8_t other[42];
    pln_derive_secret(&seed, "lable", other, sizeof(other));
    assert_memory_not_equal(made, other, sizeof(made));
    pln_derive_secret(&seed, "label", other, 7); /* A shorter one is the beginning. */
    assert_memory_equal(made, other, 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_8032_signatures_come_out_and_hold),
        cmocka_unit_test(test_signing_is_byte_exact),
        cmocka_unit_test(test_verdicts_are_the_references_but_for_small_order_keys),
        cmocka_unit_test(test_small_order_parts_count_as_in_the_reference),
        cmocka_unit_test(test_contexts_have_1_to_255_bytes),
        cmocka_unit_test(test_a_signature_holds_under_its_own_context_only),
        cmocka_unit_test(test_every_flipped_bit_is_seen),
        cmocka_unit_test(test_unusable_keys_are_known),
        cmocka_unit_test(test_every_throw_away_key_is_as_listed_and_usable),
        cmocka_unit_test(test_a_wiped_seed_is_zero),
        cmocka_unit_test(test_derived_secrets_are_hkdf_sha_256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
