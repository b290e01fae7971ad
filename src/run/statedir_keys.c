/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys/ folder.  A private key is never overwritten: what does not fit together is an error,
 * and a node that silently became another one would lose its membership with its identity.
 *
 * Saving goes keys, trust bundle, membership certificate, each file whole or not at all; a
 * directory without a membership certificate loads as one of a node that belongs to no cluster, so
 * that a crash in between costs a join and nothing else.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "auth/ed25519ctx.h"
#include "base/key.h"
#include "run/files.h"
#include "run/last_error.h"
#include "run/random.h"
#include "run/statedir.h"
#include "wire/pem.h"

enum { FILE_BYTES_MAX = 16 * 1024 };

typedef struct key_files {
    const char *private_name, *private_label;
    const char *public_name, *public_label;
} key_files;

static const key_files node_files = {"keys/ed25519.key", PLN_PEM_NODE_PRIVATE, "keys/ed25519.pub",
                                     PLN_PEM_NODE_PUBLIC};
static const key_files admin_files = {"keys/admin_ed25519.key", PLN_PEM_ADMIN_PRIVATE,
                                      "keys/admin_ed25519.pub", PLN_PEM_ADMIN_PUBLIC};

#define TRUST_NAME "keys/cluster.trust.pb"
#define MEMBER_NAME "keys/membership.cert.pb"
#define DELEGATION_NAME "keys/admin.cert.pb"

/* ---- Small files ----------------------------------------------------------------------------- */

static pollen_err read_named(const char *dir, const char *name, mode_t mode, pln_bytes *ret) {
    char path[PLN_PATH_BYTES];
    const pollen_err err = pln_statedir_path(dir, name, path);
    return err == POLLEN_OK ? pln_file_read(path, mode, FILE_BYTES_MAX, ret) : err;
}

/* A file that says the same already is left alone. */
static pollen_err write_named(const char *dir, const char *name, mode_t mode, const void *bytes,
                              size_t size) {
    char path[PLN_PATH_BYTES];
    pollen_err err = pln_statedir_path(dir, name, path);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_bytes old = {0};
    err = pln_file_read(path, mode, FILE_BYTES_MAX, &old);
    const bool same = err == POLLEN_OK && old.size == size && memcmp(old.data, bytes, size) == 0;
    pln_secret_wipe(old.data, old.size);
    pln_bytes_fini(&old);
    pln_last_error_clear();
    return same ? POLLEN_OK : pln_file_write(path, mode, bytes, size);
}

static pollen_err broken(const char *dir, const char *name, pollen_err err, const char *why) {
    pln_last_error_set("%s/%s: %s", dir, name, why);
    return err;
}

/* Whatever it is, also a link to nothing. */
static bool exists(const char *dir, const char *name) {
    char path[PLN_PATH_BYTES];
    struct stat st;
    return pln_statedir_path(dir, name, path) == POLLEN_OK && lstat(path, &st) == 0;
}

static pollen_err ensure_dirs(const char *dir) {
    char path[PLN_PATH_BYTES];
    pollen_err err = pln_dir_ensure(dir, PLN_MODE_DIR);
    if (err == POLLEN_OK) {
        err = pln_statedir_path(dir, "keys", path);
    }
    return err == POLLEN_OK ? pln_dir_ensure(path, PLN_MODE_DIR) : err;
}

/* Only looks: a directory that is not there is not made. */
static pollen_err check_dirs(const char *dir) {
    char path[PLN_PATH_BYTES];
    const pollen_err err = pln_statedir_path(dir, "keys", path);
    if (err != POLLEN_OK) {
        return err;
    }
    struct stat st;
    if (lstat(path, &st) != 0) {
        const int error = errno;
        const bool missing = error == ENOENT || error == ENOTDIR;
        pln_last_error_set("%s: %s", dir, missing ? "no node here" : pln_errno_text(error));
        return missing ? POLLEN_ENOENT : error == EACCES ? POLLEN_EPERM : POLLEN_EIO;
    }
    return ensure_dirs(dir);
}

/* ---- Key pairs ------------------------------------------------------------------------------- */

/* Errors: POLLEN_ENOENT when there is no such file, POLLEN_EKEY */
static pollen_err read_key(const char *dir, const char *name, const char *label, mode_t mode,
                           uint8_t ret[POLLEN_KEY_BYTES]) {
    pln_bytes text = {0};
    pollen_err err = read_named(dir, name, mode, &text);
    if (err == POLLEN_ELIMIT) {
        err = POLLEN_EKEY; /* Too long for a key. */
    }
    if (err == POLLEN_OK) {
        err = pln_pem_decode((const char *)text.data, text.size, label, ret);
        if (err != POLLEN_OK) {
            (void)broken(dir, name, err, "not a key of 32 bytes in PEM form");
        }
    }
    pln_secret_wipe(text.data, text.size);
    pln_bytes_fini(&text);
    return err;
}

static pollen_err write_key(const char *dir, const char *name, const char *label, mode_t mode,
                            const uint8_t key[POLLEN_KEY_BYTES]) {
    char text[PLN_PEM_TEXT_BYTES];
    const size_t size = pln_pem_encode(label, key, text);
    const pollen_err err = write_named(dir, name, mode, text, size);
    pln_secret_wipe(text, sizeof(text));
    return err;
}

static pollen_err save_pair(const char *dir, const key_files *files, const pollen_seed *seed) {
    const pollen_key key = pollen_seed_key(seed);
    pollen_err err =
        write_key(dir, files->private_name, files->private_label, PLN_MODE_SECRET, seed->bytes);
    if (err == POLLEN_OK) {
        err = write_key(dir, files->public_name, files->public_label, PLN_MODE_PUBLIC, key.bytes);
    }
    return err;
}

/* Compares the public half with the private one, or writes it where it is missing. */
static pollen_err check_public_half(const char *dir, const key_files *files,
                                    const pollen_seed *seed) {
    const pollen_key key = pollen_seed_key(seed);
    pollen_key stored;
    const pollen_err err =
        read_key(dir, files->public_name, files->public_label, PLN_MODE_PUBLIC, stored.bytes);
    if (err == POLLEN_ENOENT) {
        pln_last_error_clear();
        return write_key(dir, files->public_name, files->public_label, PLN_MODE_PUBLIC, key.bytes);
    }
    if (err == POLLEN_OK && !pln_key_equal(&key, &stored)) {
        return broken(dir, files->public_name, POLLEN_EKEY,
                      "not the public half of the private key");
    }
    return err;
}

/* Errors: POLLEN_ENOENT (neither half), POLLEN_EKEY, POLLEN_EMODE */
static pollen_err load_pair(const char *dir, const key_files *files, pollen_seed *ret) {
    const pollen_err err =
        read_key(dir, files->private_name, files->private_label, PLN_MODE_SECRET, ret->bytes);
    if (err == POLLEN_OK) {
        return check_public_half(dir, files, ret);
    }
    if (err == POLLEN_ENOENT && exists(dir, files->public_name)) {
        return broken(dir, files->private_name, POLLEN_EKEY,
                      "missing, though its public half is there");
    }
    return err;
}

pollen_err pln_statedir_load_key(const char *dir, bool create, pollen_seed *ret) {
    pollen_err err = create ? ensure_dirs(dir) : check_dirs(dir);
    if (err != POLLEN_OK) {
        return err;
    }
    pollen_seed seed;
    err = load_pair(dir, &node_files, &seed);
    if (err == POLLEN_ENOENT && create) {
        pln_last_error_clear();
        err = pollen_seed_generate(&seed);
        if (err == POLLEN_OK) {
            err = save_pair(dir, &node_files, &seed);
        }
    }
    if (err == POLLEN_OK) {
        *ret = seed;
    }
    pollen_seed_wipe(&seed);
    return err;
}

pollen_err pln_statedir_load_root(const char *dir, pollen_seed *ret) {
    const pollen_err err = check_dirs(dir);
    if (err != POLLEN_OK) {
        return err;
    }
    return exists(dir, DELEGATION_NAME) ? POLLEN_ENOENT : load_pair(dir, &admin_files, ret);
}

/* ---- Loading --------------------------------------------------------------------------------- */

/* The moment nearest to now at which the chain could have held: what has expired loads all the
 * same, and everything but the time is judged. */
static pln_wall moment_of(const pln_member_cert *cert, pln_wall now) {
    pln_wall at = now;
    at = at > cert->not_after ? cert->not_after : at;
    at = at > cert->issuer.not_after ? cert->issuer.not_after : at;
    at = at < cert->not_before ? cert->not_before : at;
    return at < cert->issuer.not_before ? cert->issuer.not_before : at;
}

/* A file that is too long for a certificate is none. */
static pollen_err read_cert(const char *dir, const char *name, pln_bytes *ret) {
    const pollen_err err = read_named(dir, name, PLN_MODE_PUBLIC, ret);
    return err == POLLEN_ELIMIT ? POLLEN_ECERT : err;
}

static pollen_err load_trust(const char *dir, pln_trust *ret) {
    pln_bytes bytes = {0};
    pollen_err err = read_cert(dir, TRUST_NAME, &bytes);
    if (err == POLLEN_OK) {
        pln_trust trust = {0};
        err = pln_trust_decode(bytes.data, bytes.size, &trust);
        if (err == POLLEN_OK) {
            err = pln_trust_verify(&trust);
        }
        if (err != POLLEN_OK) {
            pln_trust_fini(&trust);
            err = broken(dir, TRUST_NAME, err == POLLEN_ENOMEM ? err : POLLEN_ECERT,
                         "not a trust bundle that holds");
        } else {
            *ret = trust;
        }
    }
    pln_bytes_fini(&bytes);
    return err;
}

static pollen_err load_member_cert(const char *dir, pln_credentials *creds, pln_wall now) {
    pln_bytes bytes = {0};
    pollen_err err = read_cert(dir, MEMBER_NAME, &bytes);
    if (err != POLLEN_OK) {
        return err;
    }
    err = pln_member_cert_decode(bytes.data, bytes.size, &creds->member_cert);
    pln_bytes_fini(&bytes);
    if (err == POLLEN_OK) {
        err = pln_member_cert_verify(&creds->member_cert, &creds->trust, &creds->key,
                                     moment_of(&creds->member_cert, now));
    } else if (err == POLLEN_EPROTO) {
        err = POLLEN_ECERT;
    }
    return err == POLLEN_OK ? err : broken(dir, MEMBER_NAME, err, pollen_strerror(err));
}

static pollen_err load_delegation(const char *dir, const pollen_seed *admin_seed,
                                  const pln_trust *trust, pln_wall now, pln_signer *ret) {
    pln_bytes bytes = {0};
    pln_admin_cert cert = {0};
    pollen_err err = read_cert(dir, DELEGATION_NAME, &bytes);
    if (err == POLLEN_OK) {
        err = pln_admin_cert_decode(bytes.data, bytes.size, &cert);
        if (err == POLLEN_OK) {
            err = pln_signer_create_delegated(admin_seed, trust, &cert, now, ret);
        }
        if (err != POLLEN_OK) {
            (void)broken(dir, DELEGATION_NAME, err, pollen_strerror(err));
            err = err == POLLEN_EPROTO ? POLLEN_ECERT : err;
        }
    }
    pln_admin_cert_fini(&cert);
    pln_bytes_fini(&bytes);
    return err;
}

/* An admin key without a delegation that holds today signs nothing,
 * which is no reason not to start. */
static pollen_err load_signer(const char *dir, pln_credentials *creds, pln_wall now) {
    pollen_seed seed;
    pollen_err err = load_pair(dir, &admin_files, &seed);
    if (err == POLLEN_OK) {
        const pollen_key key = pollen_seed_key(&seed);
        pln_config config = {0};
        if (!pln_key_equal(&key, &creds->trust.root_pub)) {
            err = load_delegation(dir, &seed, &creds->trust, now, &creds->signer);
        } else if ((err = pln_statedir_load_config(dir, &config)) == POLLEN_OK) {
            const pln_rng rng = pln_os_rng();
            const int64_t ttl = config.admin_ttl > 0 ? config.admin_ttl : PLN_ADMIN_TTL_DEFAULT;
            err = pln_signer_create_root(&seed, ttl, &rng, now, &creds->signer);
        }
        pln_config_fini(&config);
        creds->has_signer = err == POLLEN_OK;
    }
    pollen_seed_wipe(&seed);
    if (err == POLLEN_ENOENT || err == POLLEN_EEXPIRED) {
        pln_last_error_clear();
        return POLLEN_OK;
    }
    return err;
}

static pollen_err load_membership(const char *dir, pln_credentials *creds, pln_wall now) {
    pollen_err err = load_trust(dir, &creds->trust);
    if (err == POLLEN_ENOENT && exists(dir, MEMBER_NAME)) {
        return broken(dir, TRUST_NAME, POLLEN_ECERT,
                      "missing, though there is a membership certificate");
    }
    if (err == POLLEN_OK) {
        err = load_member_cert(dir, creds, now);
    }
    if (err == POLLEN_ENOENT) {
        pln_last_error_clear();
        pln_trust_fini(&creds->trust);
        return POLLEN_OK;
    }
    if (err != POLLEN_OK) {
        return err;
    }
    creds->enrolled = true;
    return load_signer(dir, creds, now);
}

pollen_err pln_statedir_load_credentials(const char *dir, pln_wall now, pln_credentials *ret) {
    pollen_seed seed;
    pollen_err err = pln_statedir_load_key(dir, false, &seed);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_credentials creds;
    pln_credentials_init(&creds, &seed);
    pollen_seed_wipe(&seed);
    err = load_membership(dir, &creds, now);
    if (err != POLLEN_OK) {
        pln_credentials_fini(&creds);
        return err;
    }
    *ret = creds;
    return POLLEN_OK;
}

/* ---- Saving ---------------------------------------------------------------------------------- */

static pollen_err save_signer(const char *dir, const pln_signer *signer) {
    pollen_err err = save_pair(dir, &admin_files, &signer->seed);
    if (err == POLLEN_OK && !signer->is_root) {
        err = write_named(dir, DELEGATION_NAME, PLN_MODE_PUBLIC, signer->issuer.wire.data,
                          signer->issuer.wire.size);
    }
    return err;
}

/* A private key that is not the one to be saved stays:
 * it may be all that is left of another node. */
static pollen_err check_identity(const char *dir, const key_files *files, const pollen_seed *seed) {
    pollen_seed stored;
    pollen_err err = load_pair(dir, files, &stored);
    if (err == POLLEN_OK && memcmp(stored.bytes, seed->bytes, sizeof(seed->bytes)) != 0) {
        err = broken(dir, files->private_name, POLLEN_EEXIST, "holds another key");
    }
    pollen_seed_wipe(&stored);
    return err == POLLEN_ENOENT ? POLLEN_OK : err;
}

/* Nor is a membership of another cluster: it could not be had back, and a crash between the two
 * files would leave a trust bundle and a certificate that contradict each other. */
static pollen_err check_cluster(const char *dir, const pln_trust *trust) {
    if (!exists(dir, MEMBER_NAME)) {
        return POLLEN_OK;
    }
    pln_trust stored = {.wire = {.data = NULL}};
    const pollen_err err = load_trust(dir, &stored);
    const bool foreign = err == POLLEN_OK && !pln_trust_equal(&stored, trust);
    pln_trust_fini(&stored);
    pln_last_error_clear();
    return foreign                ? broken(dir, TRUST_NAME, POLLEN_ECLUSTER, "of another cluster")
           : err == POLLEN_ENOMEM ? err
                                  : POLLEN_OK;
}

pollen_err pln_statedir_save_credentials(const char *dir, const pln_credentials *creds) {
    pollen_err err = ensure_dirs(dir);
    if (err == POLLEN_OK) {
        err = check_identity(dir, &node_files, &creds->seed);
    }
    if (err == POLLEN_OK && creds->has_signer) {
        err = check_identity(dir, &admin_files, &creds->signer.seed);
    }
    if (err == POLLEN_OK && creds->enrolled) {
        err = check_cluster(dir, &creds->trust);
    }
    if (err == POLLEN_OK) {
        err = save_pair(dir, &node_files, &creds->seed);
    }
    if (err == POLLEN_OK && creds->has_signer) {
        err = save_signer(dir, &creds->signer);
    }
    if (err == POLLEN_OK && creds->enrolled) {
        err = write_named(dir, TRUST_NAME, PLN_MODE_PUBLIC, creds->trust.wire.data,
                          creds->trust.wire.size);
    }
    if (err == POLLEN_OK && creds->enrolled) {
        err = write_named(dir, MEMBER_NAME, PLN_MODE_PUBLIC, creds->member_cert.wire.data,
                          creds->member_cert.wire.size);
    }
    return err;
}
